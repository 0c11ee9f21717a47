"""The methods section of a report: intervals, tests and seeds."""

from simeval.report.blocks import Block, BulletList, Text
from simeval.report.data import ReportData
from simeval.report.format import OVER_STATES, paired_methods

RUN = (
    "Success per condition: equal-weight mean over the suite's tasks, Wilson's interval on the effective number of "
    "episodes (these tasks, other initial states). Across tasks: t interval on the task means (other tasks like "
    "these).",
    "Drop: clean minus perturbed success over complete pairs (same task, initial state, repeat and sampling noise), "
    "every task with the same weight, Bonett and Price's interval, McNemar's exact test, Holm's adjustment over the "
    "conditions of a suite. Intervals are not adjusted, so one of many may exclude 0 although its adjusted p is above"
    " .05. What a run of this size can find: the exact power of that test, with the median share of pairs that "
    "flipped without net effect.",
    "Errors are never failures: they leave the rate and take their pair out of the comparison. A comparison with more "
    "than 2 % of its pairs missing is refused.",
)
ANYTIME = (
    "In a run that stops when it is decided, or that grew, drops, their intervals and p hold at any number of pairs: "
    "e-values by betting on the pairs in rounds over the tasks, Holm's procedure on them, and as interval all drops "
    "that no bet has rejected. A drop is below the margin if the bet against it reaches 20, a risk of 5 % for each "
    "condition."
)
REPEATS = (
    "Where initial states were run several times, the states are the sample, for repeats of a state are not "
    "independent: the drop has Student's t interval over the states, never narrower than a harmed and a helped state "
    "more would make it (if all repeats of each state end alike, Bonett and Price's over the states), and the exact "
    "sign-flip test over them."
)
DRIFT = (
    "Drift: the same frame and the same sampling noise, unperturbed and perturbed; difference of the executed actions, "
    "translation and rotation, in training standard deviations, over the root of the number of dimensions.",
    "Mean drift: jackknife over episodes on its logarithm, for drifts are skewed; below 5 episodes no interval.",
    "Between conditions: Spearman's ρ is primary. The interval for other perturbations is a jackknife over families on "
    "Fisher's z, with Student's t; below 6 conditions or 4 families there is none. p: whole families permuted (their "
    "means, if they differ in size), for strengths of one family are not independent. Pearson's interval is too narrow "
    "where a few drifts are very large. Same perturbations, run again: "
    "initial states resampled within their task, clean and perturbed episodes together; where a repeat would lie.",
    "MMRV: mean maximum rank violation (SIMPLER, 2024), weighted by the true difference, in points; without interval, "
    "as resamples are biased. r_max: noise ceiling, the largest correlation that a perfect predictor would show in the "
    "mean, given the noise of the differences between drops (what all share, as the clean episodes, blurs no order).",
    "Leave-one-out: logit P(success) = α of the task + β log(1 + drift), fitted without the condition, or a monotone "
    "curve where that fit does not exist. Band for a new condition: conformal, from the residuals. Drift budget: "
    "the drifts at which the curve's interval, a jackknife over families, contains the rate.",
    "Within tasks: ranks inside each task, families permuted for all tasks together. Per episode: AUROC by "
    "Mann-Whitney's U summed over strata, bootstrap over initial states; p: whole initial states permuted within their "
    "task, the same for all conditions.",
)
COMPARED = (
    "Before and after: success by Bonett and Price on the pairs of both runs; robustness by the difference of the two "
    "drops, with a sign-flip permutation test over initial states, and by the ratio of what both keep of their "
    "success, Student's t on its logarithm over initial states with two states added. Better or worse only where both "
    "agree. Drift by the sign-flip test over episodes. Holm's adjustment over the conditions of each table.",
)


def methods(data: ReportData) -> tuple[Block, ...]:
    """The methods used in this report."""
    items = list(RUN)
    drops = [row for section in data.sections for row in section.analysis.drops]
    if paired_methods(row.interval for row in drops)[0].endswith(OVER_STATES):
        items.insert(2, REPEATS)
    anytime = [section for section in data.sections if section.analysis.inference == "anytime"]
    if anytime:
        items.insert(2, ANYTIME)
    correlations = [study.correlation for section in data.sections for study in section.studies]
    if correlations:
        items += DRIFT
        n_permutations = max(correlation.between[0].association.n_permutations for correlation in correlations)
        seeds = ", ".join(sorted({str(correlation.seed) for correlation in correlations}))
        items.append(
            f"Seed of every bootstrap and permutation: {seeds}. Orders tried by the permutation test: {n_permutations}."
        )
    if data.comparison is not None:
        items += COMPARED
    margins = sorted({section.analysis.margin for section in data.sections if section not in anytime})
    if margins:
        limits = ", ".join(f"{100 * margin:.1f}" for margin in margins)
        items.append(
            f"A drop is below {limits} points if the upper limit of its 90 % interval is (Tango's score interval; over "
            "repeated initial states the interval above). That is 5 % risk for each condition, not for all together."
        )
    closing = (
        "Points are differences of percentages. `-` stands where the data carry no number; the reason is beside it."
    )
    return (BulletList(tuple(items)), Text(closing))
