"""Groceries and the basket they go into, in metres and kilograms, z up, measured on LIBERO's own models.

Solids repeat LIBERO's collision boxes (round walls with evenly spaced boards), so that objects rest, nest and are
grasped alike; masses are LIBERO's. Looks are plain: colour, outline and a
band or two tell the products apart.
"""

from envs.assets.colors import BLACK, BLUE, BROWN, CARDBOARD, GREEN, ORANGE, RED, STEEL, WHITE, YELLOW
from envs.assets.models import Body, Model, Site
from envs.assets.shapes import (
    ORIGIN,
    Color,
    Part,
    Vector,
    block,
    box,
    column,
    lathe,
    lay,
    panel,
    prism,
    turn,
    wedge,
)

LYING = turn("x", -90)
"""From our upright frame into the frame of LIBERO's models whose height is along y."""


def _hope(name: str, mass: float, parts: tuple[Part, ...], *, standing: bool = False, **spots: float) -> Model:
    placed = lay(parts, LYING) if standing else parts
    return Model(f"stable_hope_objects/{name}/{name}.xml", Body("object", placed, mass=mass), **spots)


def _basket() -> Model:
    solids = (
        box((0.0766, 0.0724, 0.0089), (0.0025, 0, 0.0131)),
        panel(0, (0.0756, 0, 0.0766), (0.0067, 0.0724, 0.0637), 2.9),
        panel(180, (-0.0727, 0, 0.0766), (0.0067, 0.0724, 0.0637), 4.3),
        panel(90, (0, 0.0691, 0.0818), (0.0067, 0.0724, 0.0637), 2.6),
        panel(-90, (0, -0.0686, 0.0818), (0.0067, 0.0724, 0.0637), 2.6),
    )
    dark: Color = (0.50, 0.34, 0.18)
    skins = [block(dark, (-0.071, -0.066, 0.0042), (0.074, 0.066, 0.0219))]
    for azimuth, pos in ((0, (0.0756, 0)), (180, (-0.0727, 0)), (90, (0, 0.0691)), (-90, (0, -0.0686))):
        width = 0.0777 if azimuth in (0, 180) else 0.0830
        wall = panel(azimuth, (*pos, 0.0750), (0.0040, width, 0.0708), 3.2)
        rim = panel(azimuth, (*pos, 0.0750), (0.0050, width - 0.001, 0.0045), 3.2)
        skins.append(_painted(CARDBOARD, wall))
        skins += [_painted(dark, _raised(rim, height)) for height in (-0.035, 0.0, 0.035, 0.0665)]
    region = Site("contain_region", (0, 0, 0.07185), (0.06108, 0.06108, 0.06949), (0, 0, 0, 1))
    body = Body("object", (*solids, *skins), mass=0.13610, sites=(region,))
    return Model("stable_scanned_objects/basket/basket.xml", body)


def _painted(color: Color, part: Part) -> Part:
    return Part(part.kind, part.size, part.pos, part.quat, color)


def _raised(part: Part, height: float) -> Part:
    x, y, z = part.pos
    return Part(part.kind, part.size, (x, y, z + height), part.quat)


def _can(name: str, mass: float, center: float, label: Color, band: Color, **spots: float) -> Model:
    """A tin with a label and a wide band of a second colour around it."""
    axis = (0.0, center)
    return _hope(
        name,
        mass,
        (
            *prism(16, 0.0312, -0.0382, 0.0372, axis),
            lathe(STEEL, "0,-42 33,-42 33,-36 32.5,36 33,41.5 30,41.5 30,39 0,39", axis),
            lathe(label, "32,-35.5 33.2,-35.5 33.2,35.5 32,35.5", axis),
            lathe(band, "33,-14 33.6,-14 33.6,14 33,14", axis),
        ),
        standing=True,
        **spots,
    )


def _carton(name: str, side: float, body: Color, band: Color, roof: Color) -> Model:
    """A drink carton with a gable."""
    half = 0.0265
    return _hope(
        name,
        0.03173,
        (
            box((0.0263, 0.0263, 0.0548), (side, 0, -0.0150)),
            box((0.0263, 0.0138, 0.0022), (0, 0.0135, 0.0478), turn("x", -41)),
            box((0.0263, 0.0138, 0.0022), (0, -0.0135, 0.0478), turn("x", 41)),
            box((0.0265, 0.0035, 0.0030), (0, 0, 0.0585)),
            block(body, (-half, -half, -0.0714), (half, half, 0.036)),
            block(band, (-half - 0.0005, -half - 0.0005, -0.0715), (half + 0.0005, half + 0.0005, -0.020)),
            wedge(roof, half, "-26.5,36 26.5,36 2,60 -2,60"),
            block(body, (-half, -0.0015, 0.058), (half, 0.0015, 0.0714)),
        ),
        standing=True,
        radius=0.03 if name == "milk" else 0.025,
    )


def _packet(
    name: str, mass: float, half: Vector, look: tuple[Part, ...], pos: Vector = ORIGIN, **spots: float
) -> Model:
    return _hope(name, mass, (box(half, pos), *look), standing=False, **spots)


def _wrapped(color: Color, band: Color, half: Vector, start: float, end: float) -> tuple[Part, ...]:
    """A packet with a band around it between two shares of its length (x)."""
    a, b, c = half
    grown = 0.0004
    low, high = (-a + 2 * a * start, -b - grown, -c - grown), (-a + 2 * a * end, b + grown, c + grown)
    return block(color, (-a, -b, -c), half), block(band, low, high)


def _cookies() -> tuple[Part, ...]:
    biscuit: Color = (0.78, 0.55, 0.28)
    low, high = (-0.0307, -0.0418, -0.0100), (0.0307, 0.0418, 0.0100)
    disc = column(biscuit, 0.0205, -0.0104, 0.0104, (0, -0.012))
    stripe = block(YELLOW, (low[0] - 0.0004, 0.018, low[2] - 0.0004), (high[0] + 0.0004, 0.030, high[2] + 0.0004))
    return block(RED, low, high), disc, stripe


def _salad_dressing() -> Model:
    dressing: Color = (0.80, 0.78, 0.52)
    depth = 0.66
    return _hope(
        "salad_dressing",
        0.02179,
        (
            box((0.0173, 0.0173, 0.0033), (-0.001, 0, -0.0695)),
            box((0.0222, 0.0173, 0.0056), (-0.001, 0, -0.0572)),
            box((0.0264, 0.0173, 0.0210), (-0.001, 0, -0.0314)),
            box((0.0229, 0.0173, 0.0056), (-0.001, 0, -0.0043)),
            box((0.0171, 0.0173, 0.0056), (-0.001, 0, 0.0072)),
            box((0.0129, 0.0149, 0.0274), (0.0005, 0, 0.0084)),
            *prism(8, 0.0166, 0.0356, 0.0728),
            lathe(dressing, "0,-73.7 20,-73.7 30,-55 31.5,-32 26,-4 14,20 12,42 0,42", depth=depth),
            lathe((0.93, 0.93, 0.86), "30.5,-56 32.2,-50 32.5,-30 30,-14 28,-14", depth=depth),
            lathe(GREEN, "0,35.5 16.5,35.5 15.5,73.7 0,73.7", segments=14),
        ),
        standing=True,
    )


def _ketchup() -> Model:
    sauce: Color = (0.72, 0.07, 0.04)
    depth = 0.64
    return _hope(
        "ketchup",
        0.02321,
        (
            box((0.0281, 0.0170, 0.0331), (0.0004, -0.0008, -0.0394)),
            box((0.0239, 0.0183, 0.0113), (0.0004, -0.0008, 0.0037)),
            box((0.0187, 0.0183, 0.0113), (0.0004, -0.0008, 0.0251)),
            *prism(8, 0.0170, 0.0362, 0.0732, (0.0004, -0.0008)),
            lathe(sauce, "0,-74.3 29,-74.3 32,-66 32,-10 22,26 13.5,46 0,46", depth=depth),
            lathe(YELLOW, "31,-52 32.8,-52 32.8,-18 31,-18", depth=depth),
            lathe(WHITE, "0,42 16.5,42 13,74.3 0,74.3", segments=14),
        ),
        standing=True,
    )


def _bbq_sauce() -> Model:
    sauce: Color = (0.17, 0.05, 0.03)
    depth = 0.66
    return _hope(
        "bbq_sauce",
        0.01222,
        (
            box((0.0235, 0.0145, 0.0268), (0, 0, -0.0278)),
            box((0.0181, 0.0143, 0.0146), (0, 0, 0.0123)),
            box((0.0131, 0.0134, 0.0134), (0, 0, 0.0391)),
            lathe(sauce, "0,-57.1 23,-57.1 24.9,-52 24.9,-6 17,22 11,36 0,36", depth=depth),
            lathe(ORANGE, "24.5,-42 25.5,-42 25.5,-14 24.5,-14", depth=depth),
            lathe(BLACK, "0,34 13,34 11.5,57.1 0,57.1", segments=14),
        ),
        top=0.06,
        radius=0.015,
    )


GROCERIES: tuple[Model, ...] = (
    _basket(),
    _can("alphabet_soup", 0.02588, 0.0034, BLUE, ORANGE, bottom=-0.04),
    _can("tomato_sauce", 0.02655, 0.0029, RED, GREEN),
    _carton("milk", 0.0004, WHITE, BLUE, WHITE),
    _carton("orange_juice", -0.0004, ORANGE, YELLOW, GREEN),
    _salad_dressing(),
    _ketchup(),
    _bbq_sauce(),
    _packet("cookies", 0.00963, (0.0310, 0.0413, 0.0094), _cookies()),
    _packet(
        "cream_cheese",
        0.00616,
        (0.0406, 0.0213, 0.0089),
        _wrapped(BLUE, WHITE, (0.0413, 0.0213, 0.0097), 0.25, 0.75),
        bottom=-0.025,
        top=0.025,
        radius=0.03,
    ),
    _packet(
        "butter",
        0.00525,
        (0.0381, 0.0198, 0.0087),
        _wrapped(YELLOW, RED, (0.0387, 0.0198, 0.0090), 0.62, 1.0),
        bottom=-0.02,
        top=0.02,
        radius=0.02,
    ),
    _packet(
        "chocolate_pudding",
        0.01020,
        (0.0401, 0.0232, 0.0137),
        _wrapped(BROWN, (0.85, 0.72, 0.55), (0.0417, 0.0247, 0.0149), 0.38, 0.62),
        pos=(-0.0005, 0, 0.0006),
    ),
)
