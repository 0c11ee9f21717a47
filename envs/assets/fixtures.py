"""Furniture that stands where the task file says: cabinets, stove, microwave, wine rack, caddy.

Joints, body nesting and regions repeat LIBERO's models number for number: initial states and predicates depend on them.
"""

from envs.assets.colors import BLACK, BROWN, STEEL
from envs.assets.models import Body, Model, Site
from envs.assets.shapes import Color, Part, Vector, block, box, column, lathe, paint, prism, rod, turn

_HEAVY = {"pos": "0 0 0", "mass": "3", "diaginertia": "1 1 1"}
"""Inertia of drawers and knobs, given outright. Source: LIBERO's asset pack."""


def _drawer(level: str, base: float, color: Color, handle: Color) -> Body:
    """A drawer of a cabinet, open at the top.

    Args:
        level: `top`, `middle` or `bottom`.
        base: height of its floor's middle.
        color: of its wood.
        handle: of its handle.
    """
    grip = base + {"top": 0.0288, "middle": 0.0250, "bottom": 0.0243}[level]
    region = {"top": 0.18563, "middle": 0.11690, "bottom": 0.04701}[level]
    wood = (
        box((0.1093, 0.0027, 0.0343), (0.0033, -0.0752, base + 0.0280)),
        box((0.1068, 0.0036, 0.0321), (0.0033, -0.0684, base + 0.0285)),
        box((0.1068, 0.0036, 0.0321), (0.0033, 0.0908, base + 0.0285)),
        box((0.0027, 0.0815, 0.0315), (-0.1019, 0.0111, base + 0.0285)),
        box((0.0027, 0.0815, 0.0315), (0.1089, 0.0111, base + 0.0285)),
        box((0.1070, 0.0810, 0.0040), (0.0035, 0.0105, base)),
    )
    bar = (
        box((0.0445, 0.0077, 0.0082), (-0.0028, -0.1016, grip)),
        box((0.0051, 0.0106, 0.0055), (0.0292, -0.0835, grip)),
        box((0.0051, 0.0106, 0.0055), (-0.0356, -0.0835, grip)),
    )
    looks = (
        *paint(color, wood),
        rod(handle, (-0.0420, -0.1020, grip), (0.0370, -0.1020, grip), 0.0075),
        *paint(handle, bar[1:]),
    )
    turned = (0.7071068, 0.0, 0.7071068, 0.0)
    return Body(
        f"cabinet_{level}",
        (*wood, *bar, *looks),
        joint={
            "name": f"{level}_level",
            "type": "slide",
            "pos": "0 0 0",
            "axis": "0 1 0",
            "limited": "true",
            "range": "-0.16 0.01",
            "damping": "50",
        },
        inertial=_HEAVY,
        sites=(Site(f"{level}_region", (0.00328, 0.01128, region), (0.02993, 0.07561, 0.10224), turned),),
    )


def _cabinet(name: str, body: Color, drawers: Color, inside: Color) -> Model:
    walls = (
        box((0.1191, 0.0023, 0.1058), (0.0021, 0.1094, 0.1143)),
        box((0.1229, 0.0898, 0.0023), (0.0040, 0.0164, 0.0069)),
        box((0.0052, 0.0954, 0.1058), (-0.1122, 0.0162, 0.1143)),
        box((0.0052, 0.0954, 0.1058), (0.1190, 0.0162, 0.1143)),
        box((0.1273, 0.0941, 0.0014), (0.0039, 0.0158, 0.2216)),
    )
    shelves = tuple(box((0.1118, 0.0896, 0.0011), (0.0039, 0.0187, height)) for height in (0.0093, 0.0793, 0.1494))
    lid = block(body, (-0.1234, -0.0783, 0.2150), (0.1312, 0.1099, 0.2228))
    base = Body(
        "base",
        (*walls, *shelves, *paint(body, walls[:4]), lid, *paint(inside, shelves)),
        sites=(Site("top_side", (0.00354, 0.01567, 0.22152), (0.12534, 0.09438, 0.00147)),),
        children=(
            _drawer("top", 0.1551, drawers, STEEL),
            _drawer("middle", 0.0854, drawers, STEEL),
            _drawer("bottom", 0.0168, drawers, STEEL),
        ),
    )
    body_tree = Body("object", children=(base,))
    return Model(f"articulated_objects/{name}.xml", body_tree, bottom=-0.045, top=0.045, radius=0.045)


def _stove() -> Model:
    plain = {"friction": "1 0.005 0.0001", "density": "1000"}
    plate: Color = (0.16, 0.16, 0.17)
    coil: Color = (0.34, 0.34, 0.35)
    # The burner's glow is a disc at 22 mm; it shows between the coils.
    rings = (
        lathe(plate, "0,20.2 65,20.2 65,21 0,21"),
        *(lathe(coil, f"{r - 5},20.5 {r},20.5 {r},24 {r - 5},24") for r in (64, 49, 34, 19)),
    )
    burner = Body(
        "burner",
        (
            # In LIBERO this one is rendered and touches, too.
            Part(
                "box",
                (0.095, 0.095, 0.02),
                color=(0.50, 0.51, 0.53),
                attributes={"name": "base_vis", "contype": "1", "conaffinity": "1"},
            ),
            Part("box", (0.095, 0.095, 0.02), attributes={"name": "base", **plain}),
            Part("box", (0.095, 0.095, 0.0005), (0, 0, 0.025), attributes={"name": "collision_burner", **plain}),
            block(BLACK, (-0.0952, -0.0952, -0.020), (0.0952, 0.0952, 0.008)),
        ),
        pos=(0.15, 0, 0),
        sites=(Site("cook_region", (0, 0, 0), (0.075, 0.075, 0.0025)),),
        lights=(
            {
                "name": "burner",
                "pos": "0 0 0.022",
                "size": "0.0625 0.0005",
                "rgba": "0.9 0.05 0.05 1",
                "type": "cylinder",
            },
        ),
        children=(Body("burner_plate", rings),),
    )
    lever: Color = (0.75, 0.10, 0.08)
    knob = Body(
        "button",
        (
            *prism(16, 0.0455, 0.0004, 0.0128, (0.0012, 0.0045)),
            box((0.0123, 0.0346, 0.0243), (0.0014, 0.0174, 0.0257)),
            box((0.0122, 0.0078, 0.0205), (0.0012, -0.0200, 0.0244)),
            box((0.0122, 0.0078, 0.0174), (0.0012, -0.0250, 0.0250)),
            box((0.0122, 0.0042, 0.0166), (0.0011, -0.0364, 0.0172)),
            column(BLACK, 0.0460, 0.0, 0.0128, (0.0012, 0.0045)),
            block((0.10, 0.10, 0.11), (-0.0105, -0.0400, 0.0128), (0.0130, 0.0490, 0.0480)),
            block(lever, (-0.0030, 0.0100, 0.0480), (0.0055, 0.0480, 0.0505)),
        ),
        quat=(0.7071068, 0, 0, 0.7071068),
        joint={
            "name": "button",
            "type": "hinge",
            "pos": "0 0 0",
            "axis": "0 0 1",
            "limited": "true",
            "range": "-0.005 2.1",
            "damping": "1",
        },
        inertial=_HEAVY,
    )
    body = Body("object", children=(Body("base", children=(burner, knob)),))
    return Model("articulated_objects/flat_stove.xml", body, bottom=-0.045, top=0.045, radius=0.045)


def _touch(mass: str) -> dict[str, str]:
    """How LIBERO's microwave touches."""
    soft = {"solimp": ".8 .9 .01", "solref": ".02 1", "friction": "1 0.005 0.0001"}
    return soft | {"conaffinity": "1", "contype": "0", "condim": "3", "margin": "0.001", "mass": mass}


def _microwave() -> Model:
    shell = _touch(".5")
    casing = (
        Part("box", (0.0145, 0.09955, 0.0935), (-0.158, 0.0115, 0.0935), attributes=shell),
        Part("box", (0.0545, 0.09955, 0.0935), (0.118, 0.0115, 0.0935), attributes=shell),
        Part("box", (0.1035, 0.015, 0.0935), (-0.0405, 0.0955, 0.0935), attributes=shell),
        Part("box", (0.1035, 0.0845, 0.0095), (-0.04, -0.0035, 0.1775), attributes=shell),
        Part("box", (0.1035, 0.084, 0.012), (-0.04, -0.004, 0.012), attributes=shell),
        Part("box", (0.0425, 0.012, 0.0935), (0.13, -0.0985, 0.0935), attributes=shell),
    )
    dark: Color = (0.13, 0.13, 0.14)
    sidewise = turn("x", 90)
    grip = (
        Part("capsule", (0.01, 0.065), (0.2375, -0.054, 0), attributes=_touch("0.020")),
        Part("capsule", (0.01, 0.015), (0.2375, -0.0375, 0.065), sidewise, attributes=_touch("0.020")),
        Part("capsule", (0.01, 0.015), (0.2375, -0.0375, -0.065), sidewise, attributes=_touch("0.020")),
    )
    leaf = Part("box", (0.1295, 0.012, 0.0925), (0.1295, -0.013, 0), attributes=_touch("0.20"))
    frame = (
        block(dark, (0.0, -0.0224, -0.0913), (0.0425, -0.0024, 0.0909)),
        block(dark, (0.2163, -0.0224, -0.0913), (0.2586, -0.0024, 0.0909)),
        block(dark, (0.0425, -0.0224, -0.0913), (0.2163, -0.0024, -0.0614)),
        block(dark, (0.0425, -0.0224, 0.0611), (0.2163, -0.0024, 0.0909)),
    )
    window = block((0.45, 0.52, 0.58, 0.35), (0.0425, -0.0189, -0.0614), (0.2163, -0.0062, 0.0611))
    door = Body(
        "microdoorroot",
        (leaf, *grip, *frame, window, *paint(STEEL, grip)),
        pos=(-0.1725, -0.088, 0.096),
        joint={
            "type": "hinge",
            "axis": "0 0 1",
            "limited": "true",
            "name": "microjoint",
            "range": "-2.094 0",
            "damping": "0.5",
        },
    )
    buttons = tuple(
        block(STEEL, (x, -0.1120, z), (x + 0.012, -0.1105, z + 0.012))
        for x in (0.104, 0.122, 0.140)
        for z in (0.030, 0.055, 0.080)
    )
    display = block((0.15, 0.75, 0.35), (0.104, -0.1115, 0.140), (0.152, -0.1105, 0.160))
    body = Body(
        "object",
        (*casing, *paint(dark, casing), *buttons, display),
        sites=(
            Site("top_side", (0.0, 0.01, 0.20), (0.12, 0.0835, 0.005)),
            Site("heating_region", (0.0, 0.01, 0.096), (0.12, 0.0835, 0.08)),
        ),
        children=(door,),
    )
    return Model("articulated_objects/microwave.xml", body, top=0.06, radius=0.015)


def _wine_rack() -> Model:
    slope, mahogany, light = turn("x", 31.3), (0.36, 0.10, 0.06), (0.66, 0.50, 0.32)
    planes = (
        box((0.1344, 0.0789, 0.0045), (0, -0.0061, 0.2512), slope),
        box((0.1344, 0.0789, 0.0045), (0, -0.0427, 0.1273), slope),
    )
    stoppers = (
        box((0.1322, 0.0011, 0.0087), (0, -0.0748, 0.2207), turn("x", 29.3)),
        box((0.1322, 0.0011, 0.0087), (0, -0.1091, 0.0974), turn("x", 29.3)),
    )
    stand = (
        box((0.0665, 0.0930, 0.0045), (0, 0, 0.0066)),
        box((0.0900, 0.0600, 0.0045), (0, 0.0694, 0.0101), turn("x", -7.5)),
        box((0.0900, 0.0600, 0.0045), (0, -0.0643, 0.0126), turn("x", 8.0)),
        box((0.0905, 0.0141, 0.0045), (0, 0, 0.0205)),
        box((0.0076, 0.0091, 0.1616), (0, 0.0089, 0.1703), turn("x", -15.8)),
    )
    looks = (*paint(light, planes), *paint((0.1, 0.35, 0.55, 0.3), stoppers), *paint(mahogany, stand))
    region = Site("top_region", (0, -0.08003, 0.21745), (0.10087, 0.02200, 0.00251), (0.8549119, -0.5187733, 0, 0))
    body = Body("object", (*planes, *stoppers, *stand, *looks), sites=(region,))
    return Model("turbosquid_objects/wine_rack/wine_rack.xml", body)


def _caddy() -> Model:
    slant = turn("y", -35)
    boards = [
        box((0.0755, 0.2169, 0.0062), (0, 0, 0.0076)),
        box((0.0706, 0.0062, 0.0824), (0, -0.0680, 0.0850)),
        box((0.0706, 0.0062, 0.0824), (0, -0.2094, 0.0850)),
        box((0.0040, 0.2098, 0.0815), (0.0668, 0, 0.0868)),
        box((0.0040, 0.0668, 0.0434), (-0.0016, 0, 0.0552)),
        box((0.0040, 0.2098, 0.0346), (-0.0669, 0, 0.0395)),
        box((0.0040, 0.0766, 0.0796), (-0.0669, -0.1398, 0.0877)),
    ]
    for y in (0.0706, 0.2084):
        boards += [
            box((0.0706, 0.0036, 0.0333), (0, y, 0.0452)),
            box((0.0299, 0.0036, 0.0368), (0.0345, y, 0.0748)),
            box((0.0116, 0.0036, 0.0190), (0.0549, y, 0.1236)),
            box((0.0706, 0.0036, 0.0209), (0, y, 0.0945), slant),
            box((0.0279, 0.0036, 0.0114), (0.0420, y, 0.1387), slant),
        ]
    half: dict[str, tuple[Vector, Vector, tuple[float, float, float, float]]] = {
        "right": ((0.00631, -0.14339, 0.06558), (0.06196, 0.06216, 0.06046), (0, 0, 1, 0)),
        "left": ((0.00631, 0.14551, 0.06558), (0.06196, 0.06216, 0.06046), (0, 0, 1, 0)),
        "back": ((0.03364, -0.00064, 0.08558), (0.02775, 0.06216, 0.06046), (0, 0, 1, 0)),
        "front": ((-0.03102, -0.00064, 0.04054), (0.02775, 0.03595, 0.06216), (0, 0, 0.7071068, -0.7071068)),
    }
    sites = tuple(Site(f"{side}_contain_region", pos, size, quat) for side, (pos, size, quat) in half.items())
    body = Body("object", (*boards, *paint((0.40, 0.24, 0.14), boards)), sites=sites)
    return Model("turbosquid_objects/desk_caddy/desk_caddy.xml", body)


FIXTURES: tuple[Model, ...] = (
    _cabinet("wooden_cabinet", (0.33, 0.19, 0.10), (0.48, 0.29, 0.16), BROWN),
    _cabinet("white_cabinet", (0.70, 0.70, 0.69), (0.62, 0.62, 0.60), (0.40, 0.40, 0.40)),
    _stove(),
    _microwave(),
    _wine_rack(),
    _caddy(),
)
