"""Dynamics axes: friction of all surfaces and mass of the task's objects."""

from typing import Any

from perturbations.base import MULTIPLIER, AxisInfo, Infeasible, Physics, Stage, register


@register(
    AxisInfo(
        name="friction",
        stage=Stage.PHYSICS,
        unit=MULTIPLIER,
        value_means="multiplier on the friction of every contact",
        bounds=(0.05, 5.0),
        identity=1.0,
        presets=(0.95, 0.9, 0.75, 0.5, 0.25),
        source="THE COLOSSEUM: 0.75 to 1; robosuite's DynamicsModder: 10 %",
        writes=("geom_friction",),
    )
)
def friction(physics: Physics, value: float) -> None:
    """Scales the friction of all surfaces.

    MuJoCo uses the larger friction of two surfaces in contact; in LIBERO's grasps that is the finger pads' (2, against
    0.95 of the objects). So scaling only the task's objects would have no effect below a factor of two.
    """
    physics.model.geom_friction[:] *= value


@register(
    AxisInfo(
        name="mass",
        stage=Stage.PHYSICS,
        unit=MULTIPLIER,
        value_means="multiplier on mass and inertia of the task's movable objects",
        bounds=(0.05, 20.0),
        identity=1.0,
        presets=(1.05, 1.1, 1.25, 1.5, 2.0),
        source="THE COLOSSEUM and robosuite's DynamicsModder vary both; steps our choice",
        writes=("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"),
    )
)
def mass(physics: Physics, value: float) -> None:
    """Scales the mass of the objects that the goal names; their shape stays.

    Raises:
        Infeasible: the goal names nothing movable.
    """
    model, names = physics.model, [name for name in physics.targets if name in physics.objects]
    if not names:
        raise Infeasible("mass: the task names no movable object")
    for name in names:
        _scale_floating(model, physics.body_ids[name], value)


def _scale_floating(model: Any, root: int, factor: float) -> None:
    """Scale mass and inertia of a floating body and its parts, and the quantities that MuJoCo derives from them.

    The body is attached to nothing, so the derived quantities scale exactly. `mj_setConst` would also rewrite the
    model's statistics, on which the solver's tolerance depends.
    """
    parts = {root}
    for body in range(root + 1, model.nbody):  # MuJoCo numbers parents before children
        if int(model.body_parentid[body]) in parts:
            parts.add(body)
    bodies = sorted(parts)
    dofs = [dof for dof in range(model.nv) if int(model.dof_bodyid[dof]) in parts]
    added = (factor - 1) * float(model.body_subtreemass[root])
    for field in (model.body_mass, model.body_inertia, model.body_subtreemass):
        field[bodies] *= factor
    model.body_invweight0[bodies] /= factor
    model.dof_M0[dofs] *= factor
    model.dof_invweight0[dofs] /= factor
    model.body_subtreemass[0] += added
