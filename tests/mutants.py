"""Mutants: edits of the lines that make numbers, each wrong science, which a test has to notice. `make mutants`.

Each is run by itself, on a copy of the sources, against the tests that are named for it. Where none of them fails, the
line could be wrong and the suite would pass: write the test, do not drop the mutant.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
SOURCES = ("amun_steps", "config", "tests", "workflow", "pyproject.toml")
SHARE = 0.95
"""Of the mutants, how many must be killed."""
SECONDS = 300
"""A mutant whose tests take longer hangs: it is killed."""


@dataclass(frozen=True)
class Mutant:
    """An edit of `file`: `old`, which occurs there exactly once, becomes `new`; `why` it is wrong; the `tests`, as
    pytest takes them, that fail then. survives: why no test can see it, for one that none has to kill."""

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    survives: str = ""


def _of(file: str, tests: str, *edits: tuple[str, str, str]) -> list[Mutant]:
    """Mutants (old, new, why) of one file that the same tests kill; names of files in `tests`, or of tests in them."""
    return [Mutant(file, *edit, tuple(f"tests/{name}" for name in tests.split())) for edit in edits]


JUDGE = "test_judge.py"
COMPARISON = "test_comparison.py"
AS_TUNED = "test_steps.py::test_tuning_keeps_the_whole_grid_and_takes_the_least_gap"
TABLES = "test_tables.py"
PAPER = "test_paper.py"

MUTANTS = [
    *_of(
        "amun_steps/judging/judge.py",
        JUDGE,
        ('"ft_auc": auc(in_forget, in_alike)', '"ft_auc": auc(in_forget, in_test)', "a class is told from its own"),
        ('"ft_auc": auc(in_forget, in_alike)', '"ft_auc": auc(in_forget, in_remain)', "FT compares with the test set"),
        ('"fr_auc": auc(in_remain, in_forget)', '"fr_auc": auc(in_forget, in_remain)', "D_R is FR's positive class"),
        ('"rt_auc": auc(in_remain, in_test)', '"rt_auc": auc(in_forget, in_test)', "RT is of D_R, not of D_F"),
        ("(logits, self.labels, forget)", "(logits, self.labels, remain)", "unlearn accuracy is D_F's"),
        ("(logits, self.labels, remain)", "(logits, self.labels, self.train)", "retain accuracy is without D_F"),
        ("(logits, self.labels, test)", "(logits, self.labels, self.train)", "test accuracy is on unseen samples"),
        ("self.train & ~forget if", "self.train if", "D_R has none of D_F"),
        ("self.prior, self.gamma)", "self.prior)", "gamma is the config's, not the default"),
        ("**self.signal)", ")", "the signal's parameters are the config's, not the defaults"),
        ("in_alike, 0.01)", "in_alike, 0.1)", "the rate in the name is 1%"),
        ("in_alike, 0.001)", "in_alike, 0.01)", "the rate in the name is 0.1%"),
        ('rmia.prior(file["signals"][:])', 'rmia.prior(file["signals"][:1])', "the prior is over all references"),
    ),
    *_of(
        "amun_steps/judging/comparison.py",
        COMPARISON,
        ("count / (count - 1) * (sums", "(sums", "few clusters' sums are too small by chance"),
        ("(sums**2).sum() / len(cells) ** 2", "(sums**2).sum() / len(cells)", "a variance of a mean"),
        ("parts[-1] ** 2 / (count - 1)", "parts[-1] ** 2 / len(cells)", "as many degrees as clusters, not cells"),
        ("(cells - mean).to_numpy()", "cells.to_numpy()", "a spread is around the mean"),
        ("over = tuple(several[:1] if", "over = tuple(several if", "all else lies inside replicates"),
        ("if len(members) > 1]", "if len(members) > 0]", "one cluster has no spread"),
        ("stdtrit(freedom, (1 + LEVEL) / 2)", "stdtrit(freedom, LEVEL)", "an interval has two ends"),
        ("stdtrit(freedom, (1 + LEVEL) / 2)", "1.96", "three clusters are no normal distribution"),
        ("2 * float(stdtr(", "float(stdtr(", "p is two-sided"),
        ("cells = cells.dropna()", "cells = cells.fillna(0)", "a cell that diverged is not 0"),
        ("(len(order) - rank) * found[k]", "len(order) * found[k]", "Holm's steps become easier"),
        ("least = max(least, min(1.0,", "least = max(0.0, min(1.0,", "adjusted p-values keep their order"),
        ("/ max(1, len(means) - 1)", "", "many methods make many chances"),
        ("2 * (1 - LEVEL)", "(1 - LEVEL)", "a method is only higher than the lowest"),
        ("min(means, key=means.__getitem__)", "max(means, key=means.__getitem__)", "the lowest is the best"),
        (" and of.mean > 0)", ")", "what is lower is not told from the lowest"),
    ),
    *_of(
        "amun_steps/views/judges.py",
        COMPARISON,
        ("of_sets[columns].mean()", "of_sets[columns].first()", "the mean of the retrained models"),
        ('{"epsilon": 20,', '{"epsilon": 15,', "fifteen models do not tell a shift of a standard deviation"),
        ('"klom": 50}', '"klom": 30}', "nor thirty by KLoM"),
        (".ft_auc.count()", ".size()", "one that diverged is no model"),
        (" if self.models else found", "", "runs differ by their originals"),
        ("return found.groupby(level=[\"replicate\", \"set\"]).mean() if self.models else found", "return found",
         "a set has one epsilon, however many originals"),
        (".where(models >= judge.models)", "", "of few models a distribution says nothing"),
        (".clip(upper=standard.models)", "", "nor of few retrained ones"),
        ('[*keys, "original", "run"]), (', 'keys), (', "a judgement is of its own run"),
        ('"forget", "replicate", "set"]', '"forget", "replicate"]', "of the same forget set"),
        ('"forget", "replicate", "set"]', '"forget", "set"]', "of the same replicate"),
        ("            .abs()\n", "", "distances of opposite signs do not cancel"),
        ('"ft_auc", 50)', '"ft_auc", 0)', "guessing is 50"),
    ),
    *_of(
        "amun_steps/views/comparison.py",
        COMPARISON,
        ("measured[name] - measured[other])", "measured[name])", "paired"),
        ("p <= 1 - LEVEL", "between.p <= 1 - LEVEL", "adjusted for the number of pairs"),
        ("sorted(means, key=means.__getitem__)", "sorted(means)", "the lowest is first and bold"),
        ("not alike[name])", "alike[name])", "filled is told from the lowest"),
    ),
    *_of(
        "amun_steps/views/dots.py",
        f"{COMPARISON} test_overview.py",
        ('colour if dot.filled else "white"', '"white" if dot.filled else colour', "filled is told from the lowest"),
    ),
    *_of(
        "amun_steps/views/overview.py",
        "test_overview.py",
        ("not alike[name])", "alike[name])", "filled is told from the lowest"),
        ("groupby(list(CLUSTERS))[column].mean()", "groupby(list(CLUSTERS))[column].max()", "means over runs"),
        (".assign(original=0)", "", "a retrained model has no original"),
        ("if alike == 1:", "if alike >= 1:", "alone is alone"),
        ("lowest = min(methods", "lowest = max(methods", "the lowest is named"),
        ("if board.alike()[name]]", "if not board.alike()[name]]", "who is not told from the first"),
        ("max(100 - accuracy.mean, ticks[0])", "accuracy.mean", "the axis is of the error"),
    ),
    *_of(
        "amun_steps/views/leaderboard.py",
        "test_leaderboard.py",
        (".fillna(math.inf)", ".fillna(-math.inf)", "what diverged is last"),
        ("*CLUSTERS]).rank()", "*CLUSTERS]).rank(ascending=False)", "the lowest distance is the first"),
        ("*CLUSTERS]).rank()", '*CLUSTERS]).rank(method="min")', "equal ones share the mean"),
        ("values.groupby([*SETTING, *CLUSTERS])", "values.groupby(SETTING)", "ranked in each cell"),
        (".where(asked.where(~failed, spoke))", ".where(spoke)", "a judge that is not asked ranks nobody"),
        ("asked.where(~failed, spoke)", "asked", "what diverged is last, not left out"),
        ('ranked.groupby(["method", *CLUSTERS]', 'ranked.groupby(["method", "set"]', "a rank is one of a cell"),
        ('droplevel("method").mean(axis=1)', 'droplevel("method").min(axis=1)', "the mean over judges"),
        ("set.intersection(*", "set.union(*", "methods that all experiments have in common"),
        ("if value <= 1 - LEVEL}", "if value <= 0}", "methods that are told apart are not joined"),
        ("p = holm([", "p = list([", "adjusted for the number of pairs"),
        ("of.difference * sign > 0]", "of.difference * sign < 0]", "lower is better"),
        ('pairs.distinguishable.astype(str) == "True"', "pairs.difference.notna()", "each distinguishably"),
        ("by_judge.drop(columns=judge)", "by_judge", "with the others, not with itself"),
    ),
    *_of(
        "amun_steps/judging/metrics.py",
        "test_metrics.py",
        ("argmax(axis=-1)", "argmin(axis=-1)", "a prediction is the largest logit"),
        ('("left", "right")', '("left", "left")', "ties count a half, not nothing"),
        ("(2 * len(negative))", "(2 * len(positive))", "the share is of the negatives that lie below"),
        ("<= fpr)", "< fpr)", "a rate that is met exactly is allowed"),
        ("positive > too_many", "positive >= too_many", "a tie with the first negative too many is one too many"),
        ("np.abs(np.asarray(values) - reference)", "(np.asarray(values) - reference)", "a gap is a distance"),
        (
            "np.abs(np.asarray(values) - reference).mean(axis=-1)",
            "np.abs((np.asarray(values) - reference).mean(axis=-1))",
            "distances of opposite signs do not cancel",
        ),
        ("np.isfinite(logits).all()", "np.isfinite(logits[index]).all()", "it is the model that diverged"),
    ),
    *_of(
        "amun_steps/judging/intervals.py",
        "test_intervals.py",
        ("PRIOR = 2", "PRIOR = 0", "a few samples tell too small a variance"),
        ("else count\n", "else 0\n", "scores that do not overlap tell no variance"),
        ("(count - 1 + PRIOR) / count", "(count - 1 + PRIOR)", "a mean varies less than a sample"),
        ("+ _spread(negative, positive)", "", "the test samples are a sample, too"),
        ("beta.ppf(outside,", "beta.ppf(2 * outside,", "each side of an interval leaves out 2.5%"),
        ("(0.0125, 0.9875))", "(0.5, 0.5))", "a threshold is known as well as the negatives tell it"),
        ("if rank >= 0 else 0", "if rank >= 0 else len(positive)", "too few negatives tell no threshold"),
        ('np.sort(null), scores, "left"', 'np.sort(null), scores, "right"', "a tie is at least as high"),
        ("(1 + at_least)", "at_least", "a p-value is never 0"),
    ),
    *_of(
        "amun_steps/views/verdict.py",
        "test_audit.py::test_the_interval_decides_the_verdict",
        ("if low > CHANCE", "if high > CHANCE", "all of the interval is above 50"),
        ("high <= CHANCE + MARGIN", "low <= CHANCE + MARGIN", "all of the interval is within the margin"),
    ),
    *_of(
        "amun_steps/views/verdict.py",
        "test_audit.py::test_an_attack_that_tells_no_samples_apart_does_not_clear_a_model",
        (" and ties > TIED", "", "an attack that tells samples apart clears a model"),
        ("low <= CHANCE <= high and ties", "ties", "ties do not explain a sign"),
    ),
    *_of(
        "amun_steps/views/audit.py",
        "test_audit.py::test_the_findings_are_those_of_the_listed_samples",
        ("p_values(of_list, of_test)", "p_values(of_list, of_list)", "a p-value is among the test samples"),
        ("argsort(-membership[chosen]", "argsort(membership[chosen]", "the most remembered comes first"),
    ),
    *_of(
        "amun_steps/judging/rmia.py",
        "test_rmia.py",
        ("return reference_signals.mean(axis=0)", "return np.median(reference_signals, axis=0)", "Pr(x) is a mean"),
        ("dtype=np.float64) / temperature", "dtype=np.float64) * temperature", "logits are divided by T"),
        ("axis=-1) - margin", "axis=-1) + margin", "the margin makes the true class harder"),
        ("range(terms - 1, 0, -1)", "range(terms, 0, -1)", "four terms end at the cube"),
        ("1 + total * v / k", "1 + total * v", "Taylor's terms have factorials"),
        ("/ tau.sum(axis=-1)", "/ np.exp(scaled).sum(axis=-1)", "the denominator is of the same series"),
        ("dtype=np.float64) / prior", "dtype=np.float64)", "a score is of the ratio to the prior"),
        ("counts / (len(r) - 1)", "counts / len(r)", "the share is of the other samples"),
        ("gamma * r[r < 0]", "r[r < 0]", "gamma counts for negative ratios, too"),
        ("gamma * r[r > 0]", "r[r > 0]", "gamma is not 1"),
        ('positive, r, side="left"', 'positive, r, side="right"', "a ratio of exactly gamma is not above it"),
        ("np.where(r > 0, np.count_nonzero(r == 0), 0)", "0", "a positive ratio is above a ratio of zero"),
    ),
    *_of(
        "amun_steps/judging/rmia.py",
        f"{JUDGE}::test_on_gaussian_models_auc_and_scores_are_what_theory_gives",
        ("    for row in np.ndindex", "    ratios = ratios * prior\n    for row in np.ndindex", "no hardness"),
        ("return reference_signals.mean(axis=0)", "return reference_signals.max(axis=0)", "a mean of IN and OUT"),
    ),
    *_of(
        "amun_steps/judging/log_odds.py",
        "test_lira.py",
        ("true, -np.inf, axis=-1)", "true, 0.0, axis=-1)", "the odds are against all other classes"),
        ("of_label - logsumexp(others", "of_label - np.max(others", "against all of them, not the next one"),
    ),
    *_of(
        "amun_steps/judging/lira.py",
        "test_lira.py",
        ("FEW = 32", "FEW = 31", "per-sample variances are of 32 models or more"),
        ("FEW = 32", "FEW = 33", "per-sample variances are of 32 models or more"),
        ("[included, ~included]", "[~included, included]", "members are those that were included"),
        ("- others.log_density(target)", "", "a likelihood ratio has a denominator"),
        ("np.where(of, log_odds - mean, 0) ** 2", "np.where(of, log_odds, 0) ** 2", "a variance is around the mean"),
        ("np.sum(squares) / np.sum(counts)", "np.sum(squares) / len(log_odds)", "over samples, too"),
    ),
    *_of(
        "amun_steps/judging/u_lira.py",
        "test_shadows.py::test_u_lira_is_the_share_of_the_density_of_models_that_forgot",
        ("[forgotten, ~seen]", "[seen, ~seen]", "shadows that keep a sample have not forgotten it"),
        ("[forgotten, ~seen]", "[forgotten, ~forgotten]", "those that keep it have seen it"),
        ("never.log_density(target) - unlearned", "unlearned.log_density(target) - never", "the share of unlearned"),
    ),
    *_of(
        "amun_steps/steps/shadows.py",
        "test_shadows.py",
        ("self.forget[self.sets] & trained", "self.forget[self.sets]", "a shadow forgets what it was trained on"),
        ("% (len(self.forget) - 1)", "% len(self.forget)", "the tuning set is never reported"),
        ("train=self.trained[original]", "train=self.data.train", "a shadow's D is its half of train + test"),
        ("stacks.load(models, self.device)", "self.originals[[0] * len(models)]", "of the reference models"),
        ("self.originals[[number]]", "self.originals[[0]]", "D_A of its own"),
        ("for n in part if attack else ():", "for n in ():", "D_A is searched for on the shadow"),
        ("adversarial[n % len(adversarial)]", "adversarial[0]", "in turn"),
        ("models[first:], trained=trained[first:]", "models, trained=trained", "half of the references judges"),
    ),
    *_of(
        "amun_steps/judging/epsilon.py",
        "test_epsilon.py",
        ("DELTA = 1e-5", "DELTA = 0.1", "the challenge's delta"),
        ("PEAKED = 0.01", "PEAKED = 0.001", "a peak is 1% of the other's range"),
        ("REACH = 2.0", "REACH = 20.0", "an interval's ends reach no farther than 2"),
        ("BUCKET = 0.5", "BUCKET = 1.0", "points are halved at each half"),
        ("(positive == 0) & (negative == 0)", "(positive == 0) | (negative == 0)", "told apart is without any error"),
        ("(positive > 0) & (negative > 0)", "(positive > 0) | (negative > 0)", "a rate of 0 tells of few models"),
        ("((positive, negative), (negative, positive))", "((positive, negative),)", "the larger of both epsilons"),
        ("np.median(retrained) > np.median(unlearned)", "np.mean(retrained) > 1e9", "the larger median is positive"),
        ("np.ptp(unlearned) > np.ptp(retrained)", "np.ptp(unlearned) < np.ptp(retrained)", "intervals hold the peak"),
        ("[_of_thresholds(unlearned, retrained), _of_intervals(unlearned, retrained)]",
         "[_of_thresholds(unlearned, retrained)] * 2", "two families of rules"),
        ("math.log(models - 1)", "math.log(models)", "so many models show no more than log(N - 1)"),
        ("np.prod(np.asarray(unlearned) / retrained)", "np.prod(retrained / unlearned)", "what is lost costs"),
    ),
    *_of(
        "amun_steps/judging/divergences.py",
        "test_divergences.py",
        ("BINS = 20", "BINS = 10", "KLoM has 20 bins"),
        ("CLIP = 100.0", "CLIP = 1000.0", "margins are cut at 100"),
        ("EMPTY = 1e-5", "EMPTY = 1e-6", "a bin without retrained models has 1e-5"),
        ("entropy(p, np.where(p > 0, np.maximum(q, EMPTY), q)", "entropy(q, np.where(q > 0, np.maximum(p, EMPTY), p)",
         "KL(unlearned || retrained)"),
        ("middle = (p + q) / 2", "middle = np.sqrt(p * q)", "JS is to the mean of both"),
        ("rel_entr(p, middle) + rel_entr(q, middle)", "rel_entr(p, middle) * 2", "both halves"),
    ),
    *_of(
        "amun_steps/judging/tug_of_war.py",
        "test_divergences.py",
        ("1 - np.abs(np.asarray(accuracies) - retrained)", "1 - (np.asarray(accuracies) - retrained)", "a distance"),
        ("np.prod(", "np.mean(", "a product"),
    ),
    *_of(
        "amun_steps/steps/judge.py",
        "test_judges.py",
        ("train & ~sets[which]", "train", "D_R has none of D_F"),
        ("~train, tests[which])", "~train, ~train)", "a class is told from its own test samples"),
        ("members[parts.alike]", "members[parts.remain]", "D_F is told from test samples"),
        ("positive, negative, 0.01)", "positive, negative, 0.1)", "the rate in the name is 1%"),
        ("[retrained[which]], which", "[retrained[0]], which", "retrained without the same set"),
        ("np.arange(len(standard)) != m if models is standard else True", "True", "none is compared with itself"),
        ("standard[standard.finite]", "standard", "a model that diverged is no standard"),
        ("if models is standard else (models, whole)", "if not models is standard else (models, whole)", "by halves"),
        ("log_odds[:, parts.forget], retrained", "log_odds, retrained", "epsilon is of D_F"),
        ("of.accuracies[:, 1:]", "of.accuracies[:, :2]", "use is of D_R and the test set"),
        ("parts, of)], 95)", "parts, of)], 5)", "the 95th percentile"),
        ('len(file["log_odds"]) // 2', "0", "half of the references judges"),
        ("for of in (model, retrained))", "for of in (retrained, model))", "unlearned is the positive class"),
        ("standard[others], [of[:, parts.forget]", "standard, [of[:, parts.forget]", "none is compared with itself"),
        ('(numbers["set"] == which) | (numbers["set"] < 0)', 'numbers["set"] > -9', "models of this set"),
        ("range(len(sets) - 1)", "range(len(sets))", "the tuning set is never reported"),
    ),
    *_of(
        "amun_steps/steps/outputs.py",
        "test_judges.py::test_confidences_are_the_log_odds_of_the_models_one_by_one",
        ("models[start : start + stack]", "models[:stack]", "of each model"),
    ),
    *_of(
        "amun_steps/views/efficiency.py",
        "test_judgements.py::test_efficiency_is_the_seconds_of_retraining_for_one_of_unlearning"
        " test_judgements.py::test_efficiency_is_not_said_where_a_receipt_is_missing_or_resumed_or_devices_differ",
        ("of.retrained_each * len(of.retrained)", "len(of.retrained)", "a job retrains several models"),
        ("([of.unlearned], of.runs)", "([of.unlearned], 1)", "a job has many runs"),
        ("comparable / (unlearn + once)", "comparable / unlearn", "the first request finds the adversarial examples"),
        ("if len(devices) == 1", "if devices", "seconds of different devices"),
    ),
    *_of(
        "amun_steps/views/judgements.py",
        "test_judgements.py::test_a_judge_of_distributions_is_shown_of_as_many_models_as_it_wants",
        (".map(ENOUGH).fillna(0)", ".map(ENOUGH).fillna(0) * 0", "of few models a distribution says nothing"),
        ("found.models // 2)", "found.models)", "retrained models are compared by halves"),
        ("max(n - n / m, m - m / n)", "n", "so many show no more than with one wrong rule"),
    ),
    *_of(
        "amun_steps/judging/mis.py",
        "test_mis.py",
        ("np.repeat([1, 0]", "np.repeat([0, 1]", "members are class 1"),
        ("C=3", "C=1", "the literature's SVM has C = 3"),
        ('gamma="auto"', 'gamma="scale"', "the literature's gamma is 1 / features"),
        ('kernel="rbf"', 'kernel="linear"', "the literature's kernel is RBF"),
        ("== 0).mean()", "== 1).mean()", "MIS is the share called non-members"),
        ("sample_weight=count[order]", "sample_weight=None", "k equal samples weigh k"),
        ('"confidence": p[rows, labels]', '"confidence": p.max(axis=1)', "confidence is of the true class"),
        ("-(p * log_p).sum(axis=1)", "-(p * log_p).sum(axis=1) / np.log(2)", "entropy is in nats"),
        ("others[rows, labels] = 0", "others[rows, labels] *= 1", "modified entropy sums over the other classes"),
        ("generator.choice(remain, size, replace=False)", "remain[:size]", "the members are a random subset of D_R"),
        ("generator.choice(test, size, replace=False)", "generator.choice(remain, size)", "non-members are unseen"),
    ),
    *_of(
        "amun_steps/steps/score.py",
        JUDGE,
        ("np.flatnonzero(train & ~forget)", "np.flatnonzero(train)", "MIS's members are D_R, without D_F"),
        ("signals, signal, gamma, judges)", "signals, signal, 1.0, judges)", "gamma ignored"),
        ("range(len(sets) - 1) if", "range(len(sets)) if", "the tuning set is never reported"),
        ("scored, sets[which], alike", "scored, sets[0], alike", "a model is scored on its own forget set"),
        ("alike=tests[which]", "alike=tests[0]", "each set is told from its own test samples"),
        ("sets[which], draws)", "sets[0], draws)", "MIS is of the model's own forget set"),
    ),
    *_of(
        "amun_steps/judging/metrics.py",
        JUDGE,
        ("100 * (np.unique", "(np.unique", "in percent"),
    ),
    *_of(
        "amun_steps/steps/tune.py",
        f"{JUDGE}::test_a_trial_is_measured_on_tuning_s_set_against_its_own_retrained_models",
        ("signals, signal, gamma, judges)", "signals, signal, 1.0, judges)", "gamma ignored"),
        ("tuning = len(unlearner.forget) - 1", "tuning = 0", "tuning does not look at a reported set"),
        ("average_gap(measured, standard)", "average_gap(measured, measured.mean(axis=0))", "retrained are the aim"),
        ('(*GAP_METRICS, "ft_auc")', '(*GAP_METRICS, "rt_auc")', "the criterion's attack is FT AUC"),
    ),
    *_of(
        "amun_steps/steps/tune.py",
        AS_TUNED,
        ("choice_at(points[n])) for n in left", "choice_at(points[k])) for n in left", "a trial is of its own choice"),
    ),
    *_of(
        "amun_steps/steps/tune.py",
        "test_steps.py::test_a_retrained_model_that_diverged_is_no_standard",
        ("models[whole].mean", "models.mean", "one that diverged is no standard"),
    ),
    *_of(
        "amun_steps/steps/choose.py",
        AS_TUNED,
        ("np.nanargmin(gaps)", "np.nanargmax(gaps)", "the least gap wins"),
        ("gaps = tried.mean(axis=1)", "gaps = tried.min(axis=1)", "a choice's gap is its mean over originals"),
        ("tried[of, originals", "tried[of[::-1], originals", "each gap is its own choice's"),
    ),
    *_of(
        "amun_steps/steps/choose.py",
        "test_racing.py",
        ("tried = np.full((len(everything), len(on)), np.nan)", "tried = np.zeros((len(everything), len(on)))",
         "what was not tried is no gap of 0"),
        ("gaps = tried.mean(axis=1)", "gaps = np.nanmean(tried, axis=1)", "one that stopped does not win"),
        ("of[originals == on[-1]].iloc[0] if", "0 if", "the choice is one that went the whole way"),
        ("gaps[left, :tried].mean(axis=1)", "gaps[left, tried - 1]", "racing is by all originals so far"),
        ("gaps[left, :tried].mean(axis=1)", "-gaps[left, :tried].mean(axis=1)", "the least gaps go on"),
        ("math.ceil(share * len(left))", "math.ceil(share * len(gaps))", "the share is of those that are left"),
        ('trials["stopped_after"].ne("")', 'trials["stopped_after"].eq("")', "the views cross out those that stopped"),
    ),
    *_of(
        "amun_steps/steps/tune.py",
        "test_steps.py::test_choices_that_race_are_tried_as_in_the_full_grid_until_they_stop",
        ("Run(on[k], tuning", "Run(k, tuning", "each round is on its own original"),
        ("on[count - 1] for", "on[-1] for", "the CSV says where a choice stopped"),
        ("going_on(gaps, racing)", "going_on(-gaps, racing)", "the best go on"),
        ("measured[np.arange(len(on)) < tries[:, None]]", "measured[:, ::-1][np.arange(len(on)) < tries[:, None]]",
         "a row has its own original's numbers"),
    ),
    *_of(
        "amun_steps/plan/work.py",
        "test_racing.py",
        ('wanted.get("racing"))', "None)", "the plan knows that choices race"),
    ),
    *_of(
        "amun_steps/steps/signals.py",
        "test_steps.py::test_signals_are_those_of_the_models_one_by_one",
        ("logits.argmax(axis=-1) == labels", "logits.argmax(axis=-1) != labels", "correct is correct"),
        ("labels, **signal)", "labels)", "the signal's parameters are the config's, not the defaults"),
    ),
    *_of(
        "amun_steps/steps/outputs.py",
        "test_references.py::test_signals_are_of_all_that_is_listed_in_order",
        ("for listing in listings for", "for listing in listings[:1] for", "the prior is over all listings"),
    ),
    *_of(
        "amun_steps/steps/references.py",
        "test_references.py",
        ("models[r] for r in members]", "models[first + k] for k in range(len(members))]", "a file has its own model"),
        ("r not in there)", "r in beside)", "a model that is there is not trained again, in other company"),
        ("_company(models[r]) == list(beside)", "not beside", "a model that was lost comes back to the same bytes"),
    ),
    *_of(
        "amun_steps/store/listing.py",
        "test_references.py",
        ("elif digest(file) != expected:", "elif False:", "a model that was changed since it was listed is not used"),
    ),
    *_of(
        "amun_steps/steps/train.py",
        "test_train.py",
        ("[data.train] * count", "[data.train | True] * count", "originals never see the test set"),
        ("data.train & ~forgotten", "data.train", "retrained models never see D_F"),
        ("load_forget(forget, data.train)[set]", "load_forget(forget, data.train)[0]", "each set has its own models"),
        ("everything[members]", "everything[members] & data.train", "online RMIA sees the test set"),
        ("training.trades or supervised", "supervised", "TRADES ignored"),
        ('"clipping": training.clipping', '"clipping": None', "clipping ignored"),
        ("members[start : start + size]", "members[:size]", "each model has its own samples"),
        ("trained[row : row + 1]", "trained[:1]", "each file has its own model"),
        ("training.schedule, seed)", "type(training.schedule)(0.01), seed)", "the schedule is the recipe's"),
    ),
    *_of(
        "amun_steps/steps/forget.py",
        "test_steps.py::test_forget_sets_are_random_subsets_of_the_training_set_of_the_asked_size",
        ("members, size, replace=False", "members, size, replace=True", "a set has no sample twice"),
        ('"forget", name, which)', '"forget", name)', "forget sets are drawn independently"),
        ("generator.choice(members, size", "generator.choice(len(train), size", "D_F is part of D"),
    ),
    *_of(
        "amun_steps/steps/forget.py",
        "test_forget.py",
        ("_alike(chosen[0], free,", "_alike(chosen[0], np.flatnonzero(train),", "tuning forgets none of the listed"),
        ("labels[shuffled] == c", "labels[shuffled] != c", "tuning forgets samples of the same classes"),
        ("[~train & of for of in members]", "[~train for of in members]", "a class is told from its own test images"),
        ('file["correct"][:half], file["included"][:half]', 'file["correct"][half:], file["included"][half:]',
         "the half that judges does not choose"),
        ('if memorised == "low"', 'if memorised == "high"', "high is high"),
        ("generator.permutation(shuffled[order", "(shuffled[order", "sets are alike"),
        ("(correct & ~included).sum(axis=0) / unseen", "(correct & ~included).sum(axis=0) / seen", "Feldman's mean"),
    ),
    *_of(
        "amun_steps/judging/rmia.py",
        "test_forget.py",
        ("sum(means) / 2", "sum(means)", "Pr(x) is a mean"),
        ("np.minimum(*counts) > 0, sum", "np.minimum(*counts) >= 0, sum", "an empty side counts for nothing"),
    ),
    *_of(
        "amun_steps/steps/subsets.py",
        "test_ablations.py::test_requests_are_disjoint_subsets_of_the_training_set_of_the_asked_size",
        ("requests * size, replace=False", "requests * size, replace=True", "requests are disjoint"),
    ),
    *_of(
        "amun_steps/steps/subsets.py",
        "test_steps.py::test_each_sample_is_in_exactly_half_of_the_reference_models",
        ("< references // 2", "<= references // 2", "each sample is in exactly half"),
        (".argsort(axis=0).argsort(axis=0)", ".argsort(axis=1).argsort(axis=1)", "half of the models, not of samples"),
    ),
    *_of(
        "amun_steps/steps/unlearn.py",
        "test_steps.py",
        ("(run.original + 1 + run.run", "(run.original + run.run", "transferred D_A is another original's"),
        ("torch.from_numpy(label), augment=False)", "torch.from_numpy(label))", "D_A is not augmented"),
        ("self.data.train & ~forget if", "self.data.train if", "D_R has none of D_F"),
        ("range(len(unlearner.forget) - 1)", "range(len(unlearner.forget))", "the tuning set is not reported"),
        ("np.flatnonzero(self.forget[which])", "np.flatnonzero(self.forget[0])", "D_A is of the set that is forgotten"),
        ("self.adversarial[source], np", "self.adversarial[0], np", "D_A is of the original that forgets"),
        ("run.set, run.original, run.run)", "run.set, run.original)", "repetitions have seeds of their own"),
        ("r.set, r.original, r.run))", "r.set, r.original))", "and draw anew before the first epoch"),
        ("r.set, r.run, r.choice", "r.set, r.choice", "what one drew is not all others'"),
        ("model=self.originals[[original]]", "model=self.originals[[0]]", "theta_o is the model that forgets"),
    ),
    *_of(
        "amun_steps/steps/unlearn.py",
        f"{JUDGE}::test_a_trial_is_measured_on_tuning_s_set_against_its_own_retrained_models",
        ("[[r.original for r in part]]", "[[0 for r in part]]", "a run begins at its own original"),
    ),
    *_of(
        "amun_steps/steps/continuous.py",
        "test_continuous.py",
        ("~requests[: k + 1].any(axis=0)", "~requests[k]", "what was forgotten does not come back"),
        ("= remaining(data.train, asked[s], k) if", "= data.train & ~forget if", "forgotten is forgotten"),
        ("asked[s, k], remain=remain)", "asked[s, k], remain=data.train & ~asked[s, k])", "D_R"),
        ("judge.membership(logits[m]), asked[s, k]", "judge.membership(logits[m]), asked[s, 0]", "the newest request"),
        ("load_judge(dataset, signals, signal, gamma)", "load_judge(dataset, signals, signal, 1.0)", "gamma ignored"),
        ("load_adversarial(adversarial[original], rows)", "load_adversarial(adversarial[0], rows)", "another's D_A"),
        ("models.logits(x[None])[0]", "first[[original]].logits(x[None])[0]", "AMUN-A is adaptive"),
        (" if unlearning.remain else nothing", "", "without access there is no D_R"),
        ("first[[o for _, o, _ in part]]", "first[[0 for _, o, _ in part]]", "each original forgets"),
        ("label, augment=False)", "label)", "D_A is not augmented"),
    ),
    *_of(
        "amun_steps/steps/finetune.py",
        "test_finetune.py",
        ('"adv_rs": (x_adv + len(x), wrong)', '"adv_rs": (x_adv, other)', "D_ARS = (x', y_adv)"),
        ('"adv_rl": (x_adv, other)', '"adv_rl": (x, labels[x])', "D_ARL = (x_adv, y')"),
        ('"orig_rl": (x, other)', '"orig_rl": (x_adv, wrong)', "D_RL = (x, y')"),
        ('"orig_advl": (x, wrong)', '"orig_advl": (x_adv + len(x), other)', "D_AdvL = (x, y_adv)"),
        ('"adv": (x_adv, wrong)', '"adv": (x_adv, labels[x])', "D_A has the adversarial labels"),
        ("load_forget(forget, data.train)[0]", "load_forget(forget, data.train)[-1]", "D_F is not the tuning set"),
        ("Samples.among(train, labels)", "Samples.among(np.zeros_like(train), labels)", "the first panel is with D"),
        ("Samples.among(forgotten, labels)", "Samples.among(train, labels)", "the second panel is with D_F"),
        ("*sets[name], augment=False)", "*sets[name])", "D_A is not augmented"),
        ("(image - clean).flatten(1)", "(0 * image).flatten(1)", "x' is as far as the adversarial example"),
        ("load_adversarial(adversarial[original], np", "load_adversarial(adversarial[0], np", "another's D_A"),
    ),
    *_of(
        "amun_steps/steps/finetune.py",
        "test_ablations.py::test_points_on_the_sphere_have_the_distance_and_no_preferred_direction"
        " test_ablations.py::test_other_labels_are_neither_the_label_nor_the_wrong_one",
        ("distance.view(-1, 1, 1, 1) * direction", "direction", "the sphere's radius is delta"),
        ("direction = torch.randn(", "direction = torch.rand(", "no direction is preferred"),
        ("= scores[each, wrong] = -1", "= -1", "y' is not y_adv either"),
    ),
    *_of(
        "amun_steps/steps/adversarial.py",
        "test_adversarial.py",
        ("model.logits(x[None])[0]", "model.logits(x[None], train=True)[0]", "attacked as it is used"),
        ("math.ceil(search.share * len(ladder)) - 1", "0", "epsilon_init is enough for 95%"),
        ("chosen or search.start", "chosen", "from a norm of 0 DDN never comes away"),
        ("math.ceil(search.share * len(everyone)) - 1", "len(everyone) - 1", "enough climb for a lower bound"),
        ("~far & (radius > least)", "far & (radius < 0)", "what fails in a ball may succeed in a smaller one"),
        ("return np.flatnonzero(train)", "return np.arange(len(train))", "D_A is of the training samples"),
        ("np.searchsorted(attacked, samples)", "np.arange(len(samples))", "a row is found by its sample's number"),
        ("stacks.load([originals], where)[[original]]", "stacks.load([originals], where)[[0]]", "the asked original"),
    ),
    *_of(
        "amun_steps/steps/adversarial.py",
        "test_continuous.py",
        ('file["image"][:][rows[found]]', 'file["image"][:][: found.sum()]', "D_A's rows are D_F's"),
        ('file["label"][:][rows[found]]', 'file["label"][:][: found.sum()]', "and so are its labels"),
    ),
    *_of(
        "amun_steps/attacks/pgd.py",
        "test_adversarial.py",
        ("[right] + relative_step", "[right] - relative_step", "PGD ascends the loss"),
        (").clamp_max(1)", ")", "the ball's inside is left where it is"),
        ("epsilon[active] *= 2", "epsilon[active] *= 1.5", "the radius doubles"),
        ("(centre + offset).clamp(0, 1)", "(centre + offset)", "an image is in [0, 1]"),
        ("    return restart\n", "    return True\n", "going on depends on smaller balls"),
        ("if restart else", "if not restart else", "the paper's line 7 starts again from x"),
        ("gradient / (norms(gradient) + 1e-10)", "gradient.sign()", "the step is of the l2 attack"),
        ("predicted != labels[active]", "predicted == labels[active]", "it stops at the first misclassified iterate"),
    ),
    *_of(
        "amun_steps/attacks/ffgsm.py",
        "test_adversarial.py",
        ("epsilon_init * 2**k * sign", "epsilon_init * (k + 1) * sign", "epsilon doubles"),
        ("images)[0].sign()", "images)[0]", "FFGSM follows the sign"),
        ("noise * 2 ** (restart - 1)", "noise", "noise doubles with each restart"),
        ("seeds[n] for n in", "seeds[0] for n in", "each sample draws its own noise"),
    ),
    *_of(
        "amun_steps/attacks/__init__.py",
        "test_adversarial.py::test_its_direction_is_the_cross_entropy_s",
        ("others.logsumexp(dim=1)", "others.amax(dim=1)", "the direction is the cross entropy's"),
    ),
    *_of(
        "amun_steps/attacks/__init__.py",
        "test_adversarial.py",
        ("norms(image - images).flatten()", "(image - images).abs().flatten(1).amax(dim=1)", "delta is l2"),
        (".masked_fill(label == labels, math.nan)", "", "what was not found is in no D_A"),
    ),
    *_of("amun_steps/methods/ft.py", "test_methods.py", ("[request.remain]", "[request.forget]", "FT is on D_R")),
    *_of(
        "amun_steps/methods/ga.py",
        "test_methods.py",
        ("-request.forget", "request.forget", "GA ascends on D_F"),
        ("[request.remain, -request.forget]", "[request.remain + -request.forget]", "two passes, one after the other"),
    ),
    *_of(
        "amun_steps/methods/rl.py",
        "test_methods.py",
        (
            "forget.with_labels(wrong_labels(forget.label, request.classes, generator))",
            "forget",
            "RL's labels are wrong ones",
        ),
    ),
    *_of(
        "amun_steps/methods/__init__.py",
        "test_methods.py",
        ("torch.randint(1, classes", "torch.randint(0, classes", "a random wrong label is wrong"),
        ("self.model.logits(images[None])[0]", "self.model.logits(images[None], train=True)[0]", "evaluation mode"),
        ("gradient += torch", "gradient = torch", "the gradient is summed over all of D_F"),
        ("weights=weights)[0]", "weights=weights, train=True)[0]", "in evaluation mode"),
    ),
    *_of(
        "amun_steps/methods/__init__.py",
        "test_more_methods.py",
        ("temperature**2 * F.kl_div", "F.kl_div", "T^2, so that the gradient's size does not depend on T"),
        ("each.square().sum(dim=0)", "each.sum(dim=0).square()", "of each sample's gradient"),
        ("layers(model)[-count:]", "layers(model)[:count]", "the last layers"),
        ("models[[number]] = update.start", "pass", "training begins where the method says"),
    ),
    *_of(
        "amun_steps/methods/neggrad_plus.py",
        "test_more_methods.py",
        ("(alpha - 1)", "(1 - alpha)", "NegGrad+ ascends on D_F"),
        ("[(alpha * request.remain,", "[*(alpha * request.remain,", "both in one step"),
    ),
    *_of(
        "amun_steps/methods/scrub.py",
        "test_more_methods.py test_methods.py",
        ("-request.forget.with_loss", "request.forget.with_loss", "SCRUB goes away from theta_o on D_F"),
        ("epoch < ascent_epochs", "True", "in the first epochs"),
        ("alpha * divergence", "divergence", "alpha weighs the divergence"),
        ("gamma * F", "F", "gamma weighs the cross entropy"),
    ),
    *_of(
        "amun_steps/methods/bad_teacher.py",
        "test_more_methods.py",
        ("request.forget.with_loss(bad)", "request.forget.with_loss(good)", "D_F is as a stranger sees it"),
        ("request.part_of_remain(share)", "request.remain", "a share of D_R"),
    ),
    *_of(
        "amun_steps/methods/ssd.py",
        "test_more_methods.py",
        ("request.remain + request.forget", "request.remain", "importance to D"),
        ("> alpha * to_all", "> to_all", "only what matters alpha times as much"),
        (".clamp_max(1)", "", "weights are dampened, never grown"),
    ),
    *_of(
        "amun_steps/methods/delete.py",
        "test_more_methods.py",
        ("-math.inf", "0.0", "the true class is taken out"),
        ("request.remain, forget", "forget", "with D_R where there is access"),
    ),
    *_of(
        "amun_steps/methods/cf_k.py",
        "test_more_methods.py::test_cf_k_moves_the_last_layers_alone",
        (", mask=last_layers(request.model, k)", "", "the last layers move alone"),
        ("(request.model, k)", "(request.model, 1)", "as many as are asked for"),
        ("[request.remain]", "[request.forget]", "what is kept is trained on"),
    ),
    *_of(
        "amun_steps/methods/eu_k.py",
        "test_more_methods.py",
        ("unlearn(request, k=k)", "unlearn(request)", "as many layers as are asked for"),
        ("torch.where(update.mask,", "torch.where(~update.mask,", "the last layers begin anew"),
    ),
    *_of(
        "amun_steps/methods/ct.py",
        "test_more_methods.py",
        ("weight.transpose(2, 3)", "weight.transpose(0, 1).transpose(0, 1)", "kernels are transposed"),
    ),
    *_of(
        "amun_steps/methods/msg.py",
        "test_more_methods.py",
        ("- request.gradient(request.forget)", "+ request.gradient(request.forget)", "D_R's loss less D_F's"),
        ("largest=False", "largest=True", "the least gradients"),
        ("SLOW = 0.1", "SLOW = 0.0", "the others are slow, not still"),
    ),
    *_of(
        "amun_steps/methods/fisher.py",
        "test_more_methods.py",
        ("request.fisher(request.remain)", "request.fisher(request.forget)", "what D_R says"),
        (".clamp_max(MOST)", "", "noise is bounded"),
        ("10 * deviation", "deviation", "the last layer has more"),
    ),
    *_of(
        "amun_steps/methods/influence.py",
        "test_more_methods.py",
        ("forget * mean", "mean", "D_R's mean is weighed by |D_F|"),
        ("x + fisher_times", "0 * x + fisher_times", "I + F"),
        ("weights + alpha * change", "weights - alpha * change", "away from D_F"),
    ),
    *_of(
        "amun_steps/methods/unsir.py",
        "test_more_methods.py",
        ("noise.square().sum() - loss", "noise.square().sum() + loss", "noise raises the loss"),
        ("remain if epoch else impair", "impair", "then repair"),
        ("augment=False", "augment=True", "noise is not augmented"),
    ),
    *_of(
        "amun_steps/attacks/ddn.py",
        "test_adversarial.py",
        ("1 - gamma, 1 + gamma", "1 + gamma, 1 - gamma", "the norm shrinks where the image is adversarial"),
        ("< nearest).flatten()", "> 0).flatten()", "the nearest is kept"),
        ("offset + step * gradient", "offset - step * gradient", "the loss is ascended"),
        ("gamma if last_gamma is None else last_gamma", "gamma", "gamma comes down to the last one"),
    ),
    *_of(
        "amun_steps/methods/bs.py",
        "test_methods.py",
        ("x.detach() + bound", "x.detach() - bound", "FGSM ascends the loss"),
        ("request.forget.with_labels(nearest)", "request.forget", "BS's labels are the nearest wrong ones"),
        ("(moved * 255).round() / 255", "moved", "the moved image is rounded to 1/255"),
        ("PositiveFloat = 0.1", "PositiveFloat = 0.01", "the public code's bound is 0.1"),
    ),
    *_of(
        "amun_steps/methods/l1_sparse.py",
        "test_methods.py",
        ("(2 - 2 * progress)", "(1 - progress)", "alpha_t = (2 - 2t/T) alpha"),
        ("weights.abs().sum()", "weights.square().sum()", "the penalty is l1"),
    ),
    *_of(
        "amun_steps/methods/salun.py",
        "test_methods.py",
        ("salience.topk(", "(-salience).topk(", "the largest gradients are salient"),
        ("batch).abs()", "batch)", "by magnitude"),
        ("round(ratio * len(salience))", "round((1 - ratio) * len(salience))", "the share that moves is the ratio"),
    ),
    *_of(
        "amun_steps/methods/amun.py",
        "test_methods.py",
        ("request.remain + request.adversarial", "request.remain", "AMUN is on D_A"),
        ("if include_forget:", "if not include_forget:", "D_F is in where it is asked for"),
        ("request.remain + request.adversarial", "request.adversarial", "AMUN uses D_R where it can"),
    ),
    *_of(
        "amun_steps/methods/amun_salun.py",
        "test_methods.py",
        ("mask=salun.saliency_mask(request, mask_ratio)", "mask=None", "only salient weights move"),
    ),
    *_of(
        "amun_steps/training/trades.py",
        "test_trades.py",
        ("self.beta * robust", "robust", "the robust term's weight is beta"),
        ("+ self.step_size * ascent.sign()", "- self.step_size * ascent.sign()", "the inner problem is a maximum"),
        ("_divergence(network(near, train=False)", "_divergence(network(near)", "the attack is in evaluation mode"),
        ("clamp(-self.epsilon, self.epsilon)", "clamp(-1, 1)", "x' is within epsilon"),
        ("natural.softmax(dim=-1)", "natural.detach().softmax(dim=-1)", "the gradient goes through both outputs"),
        ("near = images + START * noise", "near = images + 0 * noise", "at x the divergence has no gradient"),
        ("network(images, train=False).softmax(dim=-1)", "network(images).softmax(dim=-1).detach()", "target in eval"),
    ),
    *_of(
        "amun_steps/training/clipping.py",
        "test_clipping.py",
        ("(norms - bound)", "norms", "the norm is brought to the bound, not to 0"),
        ("sum(dim=1)\n    moved", "sum(dim=1) * 2\n    moved", "a step is just long enough"),
        ("norms < least) & (norms > 0)", "norms < 0) & (norms > 0)", "two-sided: from below as well"),
        ("dim() == 4 else 0.0", "dim() >= 2 else 0.0", "from below only convolutions"),
    ),
    *_of(
        "amun_steps/training/fit.py",
        "test_fit.py",
        ("gradient.add(weights, alpha=weight_decay)", "gradient", "weight decay"),
        ("torch.where(mask != 0, mask * change, 0.0)", "change", "masked weights keep still"),
        ('seed_of(member.seed, "penalty"', 'seed_of(0, "penalty"', "a member draws by its own seed"),
        ('seed_of(members[group[0]].seed, "batch"', 'seed_of(0, "batch"', "a member's dropout is its own"),
        ('loss * batch["weight"]', "loss", "the loss of D_F is negated where it is asked"),
        ('batch["weight"]).mean(dim=1)', 'batch["weight"]).sum(dim=1)', "a batch's loss is its mean"),
        ("logits[len(found), rows]", "logits[0, rows]", "a sample's loss is of its own model"),
        ("(number == which)", "(number != which)", "a sample has its own loss"),
        ("visits.clamp(min=1)", "visits.clamp(min=0)", "of nothing the mean loss is no NaN"),
        ("penalty(own, epoch / recipe.epochs)", "penalty(own, (epoch + 1) / recipe.epochs)", "it starts at 2 alpha"),
        ('recipe.precision == "bfloat16"', "False", "the precision is the recipe's"),
        ("velocity.mul_(momentum)", "velocity.mul_(0)", "SGD with momentum"),
    ),
    *_of(
        "amun_steps/training/recipe.py",
        "test_fit.py",
        ("self.factor ** (epoch // self.step)", "self.factor ** ((epoch + 1) // self.step)", "after `step` epochs"),
    ),
    *_of(
        "amun_steps/training/batches.py",
        "test_fit.py",
        ("edges[-1] - edges[-2] == 1", "False", "a last sample is in the batch before it"),
        ("torch.randperm(len(samples), generator=generator)", "torch.arange(len(samples))", "samples are shuffled"),
        ("together.label[rows]", "together.label", "labels go with their images"),
        (") < 0.5)", ") < 0.1)", "half of the images are mirrored"),
        (" & together.augment[rows]", "", "D_A is not mirrored"),
        ("2 * augmentation.crop_padding + 1", "2 * augmentation.crop_padding", "all crops are equally likely"),
        ("torch.where(together.augment[rows, None], shift, augmentation.crop_padding)", "shift", "D_A is not shifted"),
        ("columns.flip(1)", "columns", "a flip mirrors"),
        ("(augmentation.crop_padding,) * 4)", '(augmentation.crop_padding,) * 4, mode="reflect")', "zero padding"),
        ("together.weight[rows] * len(sets)", "together.weight[rows]", "sets together: the sum of their mean losses"),
        ("in spans for order in orders]", "in spans for order in orders[:1] * len(orders)]", "a batch has all sets"),
    ),
    *_of(
        "amun_steps/training/recipe.py",
        "test_fit.py test_methods.py",
        ("return -1 * self", "return 1 * self", "-a has the loss negated"),
        ("loss=number[other.loss]", "loss=other.loss", "a union knows whose loss is whose"),
    ),
    *_of(
        "amun_steps/training/fit.py",
        "test_clipping.py",
        ("if clipper and epoch == recipe.epochs - 1:", "if False:", "a training ends within the bound"),
        ("            if due:\n", "            if False:\n", "clipping is a part of training"),
        ("                keep()\n", "", "masked weights keep still where others are clipped"),
        ("            clipper.finish()\n            keep()\n", "            clipper.finish()\n", "and at the end"),
    ),
    *_of(
        "amun_steps/training/stack.py",
        "test_fit.py::test_a_stack_predicts_what_its_modules_predict",
        ("self.module.train(train)", "self.module.train(True)", "predictions are in evaluation mode"),
    ),
    *_of(
        "amun_steps/training/stack.py",
        "test_fit.py::test_tied_weights_are_one_weight",
        ("return len(set(tensors)) < len(tensors)", "return False", "a tensor under two names is one"),
    ),
    *_of(
        "amun_steps/models/small_resnet.py",
        "test_models.py",
        (" + self.shortcut(x)", "", "a residual block has a shortcut"),
        ("width * height * breadth", "width", "the dense layer sees every position"),
    ),
    *_of(
        "amun_steps/models/resnet18.py",
        "test_models.py",
        ("64, 3, 1, 1", "64, 3, 2, 1", "the stem has stride 1"),
        ("network.maxpool = nn.Identity()", "pass", "no max-pooling on small images"),
        ("if batch_norm else", "if not batch_norm else", "batch normalisation where it is asked for"),
    ),
    *_of(
        "amun_steps/datasets/digits.py",
        "test_steps.py::test_the_data_set_is_whole_stratified_and_training_samples_come_first",
        ("255 / 16", "255 / 32", "pixels fill [0, 1]"),
        ("stratify=digits.target", "stratify=None", "the split is stratified"),
    ),
    *_of(
        "amun_steps/training/device.py",
        JUDGE,
        ("/ 255", "/ 250", "images are in [0, 1]"),
    ),
    *_of(
        "amun_steps/plan/replicates.py",
        "test_replicates.py::test_a_replicate_is_what_a_config_with_its_seeds_has",
        ("value + number if", "value if", "another split"),
        ('"seed": config["seed"] + number', '"seed": config["seed"]', "other seeds"),
    ),
    *_of(
        "amun_steps/views/runs.py",
        "test_runs.py",
        ('["experiment", "replicate", "forget"]', '["experiment", "forget"]', "a replicate has its own standard"),
        ("[list(NUMBERS)].mean()", "[list(NUMBERS)].max()", "the aim is the retrained models' mean"),
        ("[*GAP_METRICS, mia]", '[*GAP_METRICS, "ft_auc"]', "the gap with MIS is with MIS"),
        ('.where(runs.method != "retrained")', "", "the standard has no gap"),
        ("average_gap(runs[columns].to_numpy(), ", "average_gap(runs[columns].to_numpy()[::-1], ", "own gap"),
    ),
    *_of(
        "amun_steps/views/tables.py",
        TABLES,
        ("values.std(ddof=1)", "values.std(ddof=0)", "the std is the sample's"),
        ("values.mean(),", "values.median(),", "a table shows means"),
        ("(runs.access == access) & ", "", "with and without D_R are told apart"),
        (" & (runs.forget == group.forget)", "", "forget sets of different sizes are told apart"),
        ("sorted(set(printed) - {None})[:2]", "sorted(set(printed) - {None})[-2:]", "the lowest gap is best"),
        ('f"average_gap_{layout.mia}" if', '"average_gap_ft_auc" if', "the gap has the table's attack"),
        (".dropna()", ".fillna(0)", "a diverged run is in no mean"),
        ("rank != 0 and row", "row", "the lowest has no mark"),
        ('chosen.groupby(list(CLUSTERS))[f"average', 'chosen.groupby(["set"])[f"average', "paired by set and original"),
        ('float(f"{gap:.2f}")', 'float(f"{gap:.1f}")', "ties are those in print"),
    ),
    *_of(
        "amun_steps/views/claims.py",
        "test_claims.py",
        ("prior.idxmin()", "prior.idxmax()", "the best prior method"),
        ("(left.unique", "(margins.index.unique", "after every request, not after those that it survived"),
        ("of.mean if math.isnan(of.low) else of.low", "of.mean", "by every interval, not by the least mean"),
        ("not of.high < -ROUNDING, ", "", "what is wholly below decides"),
        ("margins.drop(index=1)", "margins", "after the first request AMUN-A is AMUN"),
        ("runs.forget.isin(random)", "runs.forget.notna()", "of random samples alone"),
        ("above < low and high < below", "above < mean < below", "the whole interval, not its middle"),
        ("high <= above or low >= below", "not above < mean < below", "failed is in no part of the interval"),
        ("for method in (name, other))", "for method in (other, name))", "lower is better"),
        ("column, *CLUSTERS) for method", 'column, "set") for method', "paired by set and original"),
        ("for runs in (clipped, plain)]", "for runs in (plain, clipped)]", "clipped against other models"),
        ("iloc[-1] - of_sequence.iloc[0]", "iloc[0] - of_sequence.iloc[-1]", "the last request against the first"),
        ("rsub(values[method], axis=0)", "sub(values[method], axis=0)", "a margin is the method's"),
        ('_cells(rows, "ft_auc", "replicate", "set")', 'rows.ft_auc.rename_axis("set")', "a set's are no samples"),
        ("rows.panel == 3", "rows.panel == 1", "fine-tuned on D_A alone"),
        ("below=10)", "below=50)", "less than ten points are lost"),
        ("points.y > points.x if", "points.y >= points.x if", "farther is above the line"),
        ("else points.y < points.x", "else points.y <= points.x", "nearer is under the line"),
        ("abs(mean.forget - mean.test) - abs", "abs(mean.forget - mean.remain) - abs", "nearer to the test set"),
        ("below=3)", "below=30)", "less than three runs"),
        ("last.adv - others.max()", "last.adv - others.min()", "the best substitute"),
    ),
    *_of(
        "amun_steps/views/figures.py",
        "test_figures.py",
        ("rows.fr_auc - rows.ft_auc", "rows.ft_auc - rows.fr_auc", "FR AUC - FT AUC"),
        ("100 * counts / counts.sum()", "100 * counts / counts.max()", "a share of all samples"),
        ("passes.mean() / int(panel.show)", "passes.mean()", "work is in runs of the attack"),
        ("np.logaddexp.reduce(others, axis=1)", "np.logaddexp.reduce(logits, axis=1)", "log odds, not log p"),
        ("rows[rows.panel == panel.show]", "rows", "a panel shows its own curves"),
        ("load_forget(forget, train)[0]", "load_forget(forget, train)[-1]", "D_F is not the tuning set"),
        ("phi[train & ~chosen]", "phi[train]", "D_R has none of D_F"),
        ('file["logits"][0]', 'file["logits"][-1]', "the model is the first"),
        ("[panel.show].mean()", "[panel.show].max()", "means are plotted"),
        ("by_request.sem()", "by_request.std()", "the error of a mean over sequences"),
    ),
    *_of(
        "amun_steps/views/theorem.py",
        "test_theorem.py",
        ("2 / beta * (lipschitz * delta - c)", "1 / beta * (lipschitz * delta - c)", "the factor is 2 / beta"),
        ("original - gradient(original, *more)", "original + gradient(original, *more)", "a step of descent"),
        ("- loss(retrained, x, y)\n", "+ loss(retrained, x, y)\n", "C's third term is subtracted"),
        ("return 2 * np.linalg.eigvalsh", "return np.linalg.eigvalsh", "beta bounds the Hessian"),
        ("2 * np.sqrt(loss(theta, x_adv, label))", "np.sqrt(loss(theta, x_adv, label))", "L bounds the slope"),
        ("+ BEYOND * label)", ")", "the example is misclassified"),
        ("train(points[kept], labels[kept])", "train(points, labels)", "theta_u never saw the sample"),
    ),
    *_of(
        "amun_steps/plan/gpus.py",
        "test_gpus.py",
        ("models * o.flops / peak", "o.flops / peak", "each model of a stack computes"),
        ("o.bytes / gpu.bandwidth, LAUNCH)", "o.bytes / gpu.bandwidth)", "a kernel has to be started"),
        ('steps * _kernels("attack"', '_kernels("attack"', "TRADES has inner steps"),
        (' else 1.0) / batch', ' else 1.0)', "bytes of an image"),
    ),
    *_of(
        "amun_steps/plan/cost.py",
        "test_gpus.py",
        ("least / share", "least * share", "a GPU reaches a share of what it can do"),
        ("if _is_on(gpu, cost)]\n        if there", "]\n        if there", "receipts of this GPU alone"),
    ),
    *_of(
        "amun_steps/plan/tuning.py",
        "test_experiment.py",
        ('schedule | wanted.get("grid", {})', "schedule", "a method's own hyperparameters are tuned"),
        ("tuning[key] for key in SCHEDULE", 'tuning["step"] for key in SCHEDULE', "learning rates are tuned"),
        ("limit < len(choices(grid))", "False", "a grid is not larger than the config allows"),
        ('if is_one_shot(wanted.get("module", method)):', "if False:", "what trains nothing has one schedule"),
    ),
    *_of(
        "amun_steps/plan/tuning.py",
        "test_forgetting.py::test_a_choice_that_is_given_is_not_tuned",
        ("> 1", "> 0", "a single choice is not tried"),
    ),
    *_of(
        "amun_steps/views/certificate.py",
        "test_forgetting.py::test_the_certificate_says_what_the_model_answers_before_and_after",
        ("load_forget(sets, train)[0]", "load_forget(sets, train)[-1]", "the list is the first set"),
        ('"remaining": train & ~forgotten', '"remaining": train', "D_R has none of D_F"),
        ("axis=1)[np.arange(len(labels)), labels]", "axis=1).max(axis=1)", "confidence in the sample's own class"),
        ("argsort(fell,", "argsort(-fell,", "those whose confidence fell most come first"),
    ),
    *_of(
        "amun_steps/plan/experiment.py",
        "test_experiment.py",
        ('self.config["rmia"]["gamma"], **self', '2.0, **self', "gamma is the config's"),
        ('"remain": access == "with_remain"', '"remain": True', "without access there is no D_R"),
        ('["methods"][method].get("attack", self.wanted["attack"])', '["experiments"][self.name]["attack"]',
         "a method's own attack"),
        ('{"transferred": True} if', '{"transferred": False} if', "D_A is of other models"),
        ("if can(self.config, method, access):", "if True:", "FT needs D_R"),
        ('"original", "", family, self.originals()', '"original", "", family, self.retrained(family)', "the originals"),
        ("{**unlearning, **self._judge()", '{**unlearning, "signal": {}, "gamma": 2.0', "requests are judged alike"),
        ('"judges": "half"', '"judges": "all"', "the half that chose does not judge"),
    ),
    *_of(
        "amun_steps/plan/models.py",
        "test_experiment.py",
        ('self._training("retrained")', 'self._training("originals")', "retrained's own recipe"),
        ('self._training("references")', 'self._training("originals")', "references' own recipe"),
        ('self._training("originals")', 'self._training("references")', "originals' own recipe"),
        ('self.wanted["retrained"]["count"]', 'self.wanted["originals"]["count"]', "retrained's own count"),
        ('["training"][self.wanted[role]', '["training"][self.wanted["originals"]', "each role's own recipe"),
    ),
    *_of(
        "amun_steps/plan/given.py",
        "test_given.py::test_originals_are_numbered_in_the_order_of_the_config "
        "test_given.py::test_retrained_models_are_of_the_tuning_set_too_where_a_method_is_tuned "
        "test_given.py::test_a_submission_is_scored_with_its_access_alone",
        ('{"original": number} for', '{"original": 0} for', "each file is an original of its own"),
        (".sets + tuned", ".sets", "tuning has its own retrained models"),
        ('"original": range(count_of(experiment)), "run": range(runs)}',
         '"run": range(runs), "original": range(count_of(experiment))}', "runs are in the order of a method's"),
    ),
    *_of(
        "amun_steps/steps/given.py",
        "test_given.py::test_the_outputs_are_the_models_own test_given.py::test_another_matrix_is_named",
        ("2 * counts != references", "counts > references", "half of the models have seen a sample"),
        ("[getattr(model, name) for model in given]", "[0 for model in given]", "a model keeps its numbers"),
    ),
    *_of(
        "config/config.yaml",
        PAPER,
        ("epochs: 200", "epochs: 100", "App. C: 200 epochs"),
        ("learning_rate: 0.1\n", "learning_rate: 0.05\n", "App. C: from 0.1"),
        ("step: 40", "step: 60", "App. C: every 40 epochs"),
        ("factor: 0.1", "factor: 0.2", "App. C: times 0.1"),
        ("factor: 0.1\n    momentum: 0.9", "factor: 0.1\n    momentum: 0.5", "the public code's momentum is 0.9"),
        ("reference:\n    <<: *recipe\n    epochs: 160", "reference:\n    <<: *recipe\n    epochs: 16", "160 epochs"),
        ("<<: *clipped\n    epochs: 100", "<<: *clipped\n    epochs: 10", "clipped references take 100 epochs"),
        ("bound: 1.0", "bound: 10.0", "App. C: norms of 1"),
        ("{name: resnet18, batch_norm: false}", "{name: resnet18}", "batch normalisation would undo clipping"),
        ("beta: 6.0", "beta: 1.0", "TRADES' authors: 6"),
        ("epochs: 20\n    learning_rate: 0.01", "epochs: 5\n    learning_rate: 0.01", "3.2: 20 epochs"),
        ("random50: {fraction: 0.5", "random50: {fraction: 0.25", "5.1: 50% of D"),
        ("random10: {fraction: 0.1, sets: 3}", "random10: {fraction: 0.1, sets: 1}", "5.1: three subsets"),
        ("{fraction: 0.02, requests: 5", "{fraction: 0.02, requests: 2", "6.3: five requests"),
        ("{steps: 50, relative_step: 0.1", "{steps: 50, relative_step: 0.2", "section 4: 0.1 epsilon"),
        ("share: 0.95", "share: 0.5", "E.1: 95%"),
        ("temperature: 2.0", "temperature: 1.0", "App. C: T = 2"),
        ("margin: 0.6", "margin: 0.0", "the RMIA authors' margin"),
        ("taylor_terms: 4", "taylor_terms: 5", "the public code's four terms"),
        ("gamma: 2.0", "gamma: 1.0", "App. C: gamma = 2"),
        ("finetune: &finetune\n    epochs: 10", "finetune: &finetune\n    epochs: 1", "App. C: 10 epochs"),
        ("runs: 3", "runs: 1", "App. C: three runs, 27 in all"),
        ("step: [null, 1, 5]", "step: [null]", "App. C: a scheduler of 1 or 5 steps"),
        (", 1.0e-6]", "]", "App. C: down to 1e-6"),
        ("  salun: {grid: {mask_ratio: [0.1, ", "  salun: {grid: {mask_ratio: [", "App. C: from 0.1"),
        ("{count: 3, training: original_256}\n    references", "{count: 1, training: original_256}\n    references",
              "App. C: three models on D"),
        ("{count: 128, training: trades}", "{count: 128, training: reference}", "references are trained as the target"),
    ),
]  # fmt: skip


def mutated(mutant: Mutant, root: Path = REPOSITORY) -> str:
    """The text of the mutant's file after its edit. Raises ValueError unless `old` is there exactly once."""
    text = (root / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file}: {mutant.old!r} occurs {text.count(mutant.old)} times, expected once")
    return text.replace(mutant.old, mutant.new)


def _copy(to: Path) -> Path:
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, to / name)
    return to


def _fails(where: Path, tests: Iterable[str]) -> bool:
    """Whether one of the tests fails in a copy. Raises RuntimeError where they cannot be run at all."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    # no bytecode: an edit of the same length within a second would not be seen
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2):  # 2: what is imported fails
        raise RuntimeError(f"{' '.join(tests)}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode != 0


def main(wanted: str, cores: int) -> None:
    """Run the mutants whose file has `wanted` in its path, `cores` at a time; exits non-zero where too few are killed,
    or where one survives without a reason."""
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.file]
    began, copies = time.monotonic(), queue.Queue()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cores) as pool:
        for number in range(cores):
            copies.put(_copy(Path(folder) / str(number)))

        def run(tests: Iterable[str], mutant: Mutant | None = None) -> bool:
            where = copies.get()
            try:
                if mutant:
                    (where / mutant.file).write_text(mutated(mutant, where), encoding="utf-8")
                return _fails(where, tests)
            finally:
                if mutant:
                    shutil.copy(REPOSITORY / mutant.file, where / mutant.file)
                copies.put(where)

        named = sorted({test for mutant in chosen for test in mutant.tests})
        files = [[test for test in named if test.split("::")[0] == file] for file in {t.split("::")[0] for t in named}]
        for tests, failed in zip(files, pool.map(run, files), strict=True):
            if failed:
                sys.exit(f"{' '.join(tests)}: fails without a mutant: nothing can be said")
        survivors = []
        for mutant, killed in zip(chosen, pool.map(run, [m.tests for m in chosen], chosen), strict=True):
            print(f"{'killed  ' if killed else 'SURVIVED'} {mutant.file}: {mutant.old!r} -> {mutant.new!r}", flush=True)
            if not killed:
                survivors.append(mutant)
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} killed, in {(time.monotonic() - began) / 60:.0f} minutes")
    for mutant in survivors:
        print(f"survived: {mutant.file}: {mutant.old!r}: {mutant.survives or f'NOT EXPLAINED ({mutant.why})'}")
    if len(survivors) > (1 - SHARE) * len(chosen) or not all(mutant.survives for mutant in survivors):
        sys.exit(f"expected {SHARE:.0%} to be killed, and each survivor to be explained in the list")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "", int(os.environ.get("CORES", "2")))
