"""Bowls, mugs, pots and other objects of the table, in metres and kilograms, z up, measured on LIBERO's own models.

Solids repeat LIBERO's collision boxes (round walls with evenly spaced boards), so that objects rest, nest and are
grasped alike; masses are LIBERO's.
"""

import itertools

from envs.assets.colors import BLACK, RED, STEEL, WHITE, YELLOW
from envs.assets.models import Body, Model
from envs.assets.shapes import (
    Color,
    Part,
    Vector,
    around,
    block,
    box,
    column,
    lathe,
    lay,
    panel,
    points,
    prism,
    ring,
    rod,
    turn,
    wedge,
)

# Where LIBERO's boards stand, some of them twice. What lands on or overlaps with these at the start jumps, and to jump
# the same way they have to be where they are to a tenth of a degree: the bowl on the ramekin would fall off.
_BOWL_FOOT = (166.3, -169.07, -143.53, -117.71, -92.07, -66.2, -41.1, -15.77, -15.77, 0.38, 24.93, 49.92, 69.78)
_BOWL_HEEL = (
    (90.17, 0.03361, 0.00939, 60.8, 0.0),
    (115.96, 0.03356, 0.00959, 60.45, -0.09),
    (141.02, 0.03351, 0.00975, 60.18, -0.35),
)
"""Azimuth, radius, height, tilt and roll of the boards that sit lower than the others."""
_BOWL_WALL = (
    *(90.12, 111.46, 132.34, 153.42, 174.4, -165.19, -144.28, -123.14, -102.38),
    *(-81.48, -60.43, -39.59, -18.24, 2.25, 2.25, 22.88, 43.53, 63.98),
)
_RAMEKIN_WALL = (
    *(-90, 91.54, 1.03, -179.36, -179.36, -155.71, -133.33, -110.71, -64.27),
    *(-39.54, -18.45, 26.03, 48.37, 71.68, 116.8, 141.18, 161.8),
)
_PLATE_RIM = (90, 90, 47.9, 3.73, -40.75, -87.27, -133.67, -178.46, 135.47)
_RAMEKIN_FLOOR = (
    (0.0281, 0.0244, -0.0037, 0.0),
    (0.0244, 0.0037, 0.0006, -0.0267),
    (0.0244, 0.0037, 0.0009, 0.0267),
    (0.0037, 0.0121, -0.0317, 0.0),
    (0.0037, 0.0121, 0.0329, 0.0),
    (0.0121, 0.0039, -0.0004, -0.0329),
    (0.0121, 0.0037, 0.0008, 0.0329),
)
"""Boards that make a round floor: half lengths and middle in x and y."""


def _scanned(name: str, mass: float, parts: tuple[Part, ...]) -> Model:
    return Model(f"stable_scanned_objects/{name}/{name}.xml", Body("object", parts, mass=mass))


def _turbosquid(name: str, mass: float, parts: tuple[Part, ...]) -> Model:
    return Model(f"turbosquid_objects/{name}/{name}.xml", Body("object", parts, mass=mass))


def _bowl() -> Model:
    parts = (
        box((0.01617, 0.01547, 0.00258), (0, -0.00075, 0.00417)),
        box((0.01617, 0.00431, 0.00258), (0, -0.02021, 0.00417)),
        box((0.01617, 0.00741, 0.00258), (0, 0.01490, 0.00417)),
        box((0.00495, 0.01547, 0.00258), (0.01821, 0.00016, 0.00417)),
        box((0.00453, 0.01547, 0.00258), (-0.01810, 0.00004, 0.00417)),
        *ring(_BOWL_FOOT, 0.03348, 0.00984, (0.00071, 0.00992, 0.01187), tilt=60.03, roll=-0.70),
        *(
            ring((azimuth,), radius, height, (0.00071, 0.00992, 0.01187), tilt=tilt, roll=roll)[0]
            for azimuth, radius, height, tilt, roll in _BOWL_HEEL
        ),
        *ring(_BOWL_WALL, 0.04712, 0.03367, (0.00128, 0.00934, 0.01875), tilt=14.69),
        *ring((77.05,), 0.04712, 0.03367, (0.00125, 0.00444, 0.01872), tilt=14.69),
        lathe(BLACK, "0,1.6 23,1.6 44.5,16 53.8,52.2 51.2,52.2 42,17 23,6 0,6"),
    )
    # LIBERO's model stands 10 cm beside its origin; a free joint forgets that, except before the first placement.
    name = "akita_black_bowl"
    return Model(f"stable_scanned_objects/{name}/{name}.xml", Body("object", parts, (0, -0.1, 0), mass=0.00562))


def _ramekin() -> Model:
    return _scanned(
        "glazed_rim_porcelain_ramekin",
        0.00967,
        (
            *(box((a, b, 0.0032), (x, y, 0.0041)) for a, b, x, y in _RAMEKIN_FLOOR),
            *ring(_RAMEKIN_WALL, 0.03824, 0.02166, (0.00260, 0.00948, 0.02085), tilt=8.55),
            lathe(WHITE, "0,0.7 35,0.7 44.4,43.3 39.5,43.3 33,7.3 0,7.3"),
            lathe(STEEL, "43.6,40.5 44.9,40.5 44.9,43.6 39.2,43.6 39,40.5"),
        ),
    )


def _plate() -> Model:
    return _scanned(
        "plate",
        0.01151,
        (
            box((0.0285, 0.0306, 0.0030), (0, 0, 0.0031)),
            *ring(_PLATE_RIM, 0.04828, 0.00696, (0.00254, 0.02851, 0.01913), tilt=70.48, roll=-1.46),
            lathe(WHITE, "0,0 33,0 65,11.5 65.5,15.5 34,5.8 0,5.8", segments=24),
            lathe(RED, "63.5,11 69,13.5 69,16.6 62,14.4", segments=24),
        ),
    )


def _mug(color: Color, inside: Color, outer: str, center: tuple[float, float]) -> tuple[Part, ...]:
    """The look of a mug: its outline (mm) from the foot to the rim, and the colour of its floor inside."""
    wall, floor = 4.0, 10.0
    course = [(radius * 1000, height * 1000) for radius, height in points(outer)]
    inner = [(radius - wall, max(height, floor)) for radius, height in reversed(course)]
    closed = f"0,{course[0][1]} {outer} " + " ".join(f"{radius},{height}" for radius, height in inner)
    base = column(inside, inner[-1][0] / 1000, floor / 1000, floor / 1000 + 0.001, center)
    return lathe(color, f"{closed} 0,{floor}", center), base


def _porcelain_mug() -> Model:
    axis = (0.015, -0.001)
    return _turbosquid(
        "porcelain_mug",
        0.01646,
        (
            box((0.0253, 0.0164, 0.0052), (*axis, 0.0076)),
            box((0.0155, 0.0232, 0.0052), (*axis, 0.0076)),
            *ring(around(7), 0.0334, 0.0239, (0.0014, 0.0209, 0.0189), tilt=23.6, center=axis),
            *ring(around(7), 0.0411, 0.0758, (0.0024, 0.0216, 0.0326), center=axis),
            panel(180, (-0.0595, 0, 0.056), (0.0038, 0.0080, 0.0198)),
            panel(180, (-0.0416, 0, 0.0286), (0.0038, 0.0080, 0.0198), 61.3),
            panel(180, (-0.0463, 0, 0.0834), (0.0038, 0.0080, 0.0198), -55.3),
            *_mug(WHITE, (0.8, 0.8, 0.78), "26,0 42,40 46.5,60 46.5,114.6", axis),
            *_handle(WHITE, "-28,90 -59.5,76 -59.5,38 -24,20"),
        ),
    )


def _red_mug() -> Model:
    axis = (-0.0155, -0.0031)
    return _turbosquid(
        "red_coffee_mug",
        0.02942,
        (
            box((0.0269, 0.0235, 0.0025), (*axis, 0.0053)),
            *lay(ring(around(7), 0.0313, 0.0645, (0.0035, 0.0206, 0.0664), tilt=6.5), turn("z", 180), (*axis, 0)),
            panel(0, (0.0368, 0.0011, 0.0504), (0.0029, 0.0076, 0.0343), 42.5),
            panel(0, (0.0547, 0.0011, 0.0944), (0.0027, 0.0069, 0.0192), -5.9),
            panel(0, (0.0346, 0.0011, 0.1116), (0.0027, 0.0069, 0.0182), 81.8),
            *_mug(RED, (0.6, 0.05, 0.05), "28,0 32,30 44.5,134.9", axis),
            *_handle(RED, "22,112 50,110 57.5,92 50,68 14,30"),
        ),
    )


def _yellow_mug() -> Model:
    axis = (-0.0187, -0.0006)
    parts = (
        box((0.0270, 0.0186, 0.0025), (*axis, 0.0027)),
        box((0.0186, 0.0259, 0.0025), (*axis, 0.0027)),
        *ring(around(12), 0.0310, 0.0106, (0.0041, 0.0088, 0.0103), tilt=36.2, center=axis),
        *ring(around(19), 0.0425, 0.0593, (0.0041, 0.0088, 0.0436), tilt=7.5, center=axis),
        panel(0, (0.0641, 0, 0.0560), (0.0041, 0.0088, 0.0292)),
        panel(0, (0.0402, 0, 0.0263), (0.0041, 0.0088, 0.0249), 78.2),
        panel(0, (0.0464, 0, 0.0796), (0.0041, 0.0088, 0.0217), 83.7),
        *_mug(YELLOW, WHITE, "27,0 38.5,18 50,104.8", axis),
        *_handle(YELLOW, "26,78 64.1,81 64.1,34 20,24"),
    )
    # White inside, as its name says: a collar just inside the rim and the floor.
    collar = lathe(WHITE, "38.5,30 46.1,105 44,105 36.5,30", axis)
    return _turbosquid("white_yellow_mug", 0.03088, (*parts, collar))


def _handle(color: Color, course: str) -> tuple[Part, ...]:
    """A bent bar through points x,z (mm)."""
    corners: list[Vector] = [(x, 0.0, z) for x, z in points(course)]
    return tuple(rod(color, a, b, 0.0045) for a, b in itertools.pairwise(corners))


def _moka_pot() -> Model:
    tube = (0.0066, 0.0070)
    return _turbosquid(
        "moka_pot",
        0.06821,
        (
            *prism(8, 0.0345, -0.0661, 0.0670),
            box((0.0176, 0.0058, 0.0245), (0, -0.0359, 0.0426)),
            box((0.0080, 0.0072, 0.0137), (0, -0.0491, 0.0462)),
            box((0.0102, 0.0072, 0.0137), (0, 0.0416, 0.0525)),
            box((0.0066, 0.0141, 0.0070), (0, 0.0583, 0.0603)),
            box((*tube, 0.0141), (0, 0.0755, 0.0539), turn("x", 49.2)),
            box((*tube, 0.0275), (0, 0.0725, 0.0282), turn("x", -26.9)),
            box((*tube, 0.0101), (0, 0.0576, 0.0023), turn("x", -44.6)),
            box((0.0052, 0.0060, 0.0114), (0, -0.0013, 0.0743)),
            lathe(STEEL, "0,-67.1 40,-67.1 31,-8 0,-8", segments=8),
            lathe((0.5, 0.51, 0.54), "0,-8 34,-8 34,2 0,2", segments=8),
            lathe(STEEL, "0,2 29,2 39,60 36,66 0,71", segments=8),
            wedge(STEEL, 0.009, "-58,64 -30,30 -30,64"),
            column(BLACK, 0.006, 0.066, 0.0860),
            rod(BLACK, (0, 0.038, 0.0590), (0, 0.068, 0.0610), 0.0065),
            rod(BLACK, (0, 0.068, 0.0610), (0, 0.081, 0.0500), 0.0065),
            rod(BLACK, (0, 0.081, 0.0500), (0, 0.059, 0.0030), 0.0065),
        ),
    )


def _frypan() -> Model:
    iron: Color = (0.12, 0.12, 0.13)
    return _scanned(
        "chefmate_8_frypan",
        0.05022,
        (
            box((0.0548, 0.0548, 0.0060), (0, 0, 0.0068)),
            *prism(8, 0.0740, 0.0030, 0.0119, (0.003, -0.002)),
            *ring(around(16), 0.0895, 0.0223, (0.0036, 0.0209, 0.0213), tilt=31.1, center=(0.005, 0)),
            panel(0, (0.1126, 0.0036, 0.0199), (0.0105, 0.0104, 0.0123), 77.9),
            panel(0, (0.1295, 0.0036, 0.0275), (0.0060, 0.0104, 0.0108), 30.6),
            panel(0, (0.1926, 0, 0.0441), (0.0062, 0.0127, 0.0665), 82.6),
            lathe(iron, "0,0 74,0 101.8,42.4 98.5,42.4 74,8 0,8", (0.004, 0), segments=24),
            column((0.2, 0.2, 0.21), 0.070, 0.008, 0.0088, (0.004, 0)),
            rod(STEEL, (0.095, 0, 0.024), (0.130, 0, 0.034), 0.006),
            rod(BLACK, (0.130, 0, 0.034), (0.250, 0, 0.051), 0.0095),
        ),
    )


def _wine_bottle() -> Model:
    glass: Color = (0.02, 0.10, 0.04)
    return _turbosquid(
        "wine_bottle",
        0.01536,
        (
            box((0.0150, 0.0150, 0.0362), (0, 0, 0.0373)),
            *ring(around(8), 0.0179, 0.0333, (0.0019, 0.0106, 0.0298)),
            box((0.0118, 0.0118, 0.0070), (0, 0, 0.0811)),
            box((0.0080, 0.0080, 0.0070), (0, 0, 0.0930)),
            *prism(8, 0.0071, 0.0477, 0.1580),
            lathe(glass, "0,0 21,0 21.6,2 21.6,68 8,98 7.2,149.9 0,149.9", segments=14),
            lathe((0.86, 0.82, 0.70), "21.3,14 21.9,14 21.9,52 21.3,52", segments=14),
            lathe((0.62, 0.46, 0.25), "0,146 7.6,140 7.6,158.8 0,158.8", segments=10),
        ),
    )


def _book() -> Model:
    low, high = (-0.0148, -0.0674, 0.0022), (0.0138, 0.0430, 0.1366)
    return _turbosquid(
        "black_book",
        0.04245,
        (
            box((0.0143, 0.0552, 0.0672), (-0.0005, -0.0122, 0.0694)),
            block(WHITE, (low[0] + 0.003, low[1] + 0.003, low[2] + 0.002), (high[0] - 0.003, high[1], high[2] - 0.002)),
            block(BLACK, low, (low[0] + 0.003, high[1] + 0.001, high[2])),
            block(BLACK, (high[0] - 0.003, low[1], low[2]), (high[0], high[1] + 0.001, high[2])),
            block(BLACK, low, (high[0], low[1] + 0.003, high[2])),
        ),
    )


CROCKERY: tuple[Model, ...] = (
    _bowl(),
    _plate(),
    _ramekin(),
    _porcelain_mug(),
    _red_mug(),
    _yellow_mug(),
    _moka_pot(),
    _frypan(),
    _wine_bottle(),
    _book(),
)
