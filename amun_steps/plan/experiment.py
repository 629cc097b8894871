"""A config names things; `Experiment` says what stages they are.

It describes the stages of one of a config's experiments, each by the method that is named like it: what parameters it
has, what code computes it, what it builds on and in whose folder it lies. Rules turn stages into jobs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from amun_steps.plan import given
from amun_steps.plan.config import ACCESS, can
from amun_steps.plan.models import Models, recipe_of, said
from amun_steps.plan.signatures import method_needs
from amun_steps.plan.stage import Scored, Stage, stage
from amun_steps.plan.tuning import grid_of, is_tuned


class Experiment(Models):
    """All stages of an experiment of a config. `family` is the name of a family of forget sets, `access` one of
    ACCESS."""

    def methods(self, access: str) -> Iterator[str]:
        """The names of the methods that can do with this access."""
        for method in self.wanted["methods"]:
            if can(self.config, method, access):
                yield method

    def tunable(self, access: str) -> list[str]:
        """Those of `methods` that are run here: no submissions."""
        return [method for method in self.methods(access) if "files" not in self.config["methods"][method]]

    @stage
    def tuned(self, method: str, access: str, family: str) -> Stage:
        run = {"forget_name": family, "unlearning": self._unlearning(method, access)}
        tried = is_tuned(self.config, method)
        judges = {"retrained": self.retrained(family), "signals": self.signals()} if tried else {}
        racing = {key: value for key, value in self.config["tuning"].items() if key == "racing" and tried}
        return Stage(
            kind="tuned",
            name=f"{method}-{access}-{family}-tuned",
            parameters={
                **run,
                **self._judge(family),
                **grid_of(self.config, method),
                "on": self.config["tuning"]["originals"],
                **racing,
            },
            code=["amun_steps.steps.tune", "amun_steps.steps.choose", *self._method_code(method)],
            builds_on={**self._unlearned_from(method), "forget": self.forget(family), **judges},
            inside=self.originals(),
        )

    @stage
    def unlearned(self, method: str, access: str, family: str) -> Stage:
        if "files" in self.config["methods"][method]:
            files = given.of_submission(self.config, self.wanted, method, family)
            reads = {"originals": self.originals(), "forget": self.forget(family)}
            return self.from_files("submitted", f"{method}-{family}", files, self.originals(), **reads)
        run = {"forget_name": family, "unlearning": self._unlearning(method, access)}
        tuned = self.tuned(method, access, family)
        return Stage(
            kind="unlearned",
            name=method,
            parameters={**run, "runs": self.runs},
            code=["amun_steps.steps.unlearn", *self._method_code(method)],
            builds_on={**self._unlearned_from(method), "forget": self.forget(family), "tuned": tuned},
            inside=tuned,
        )

    def scored(self) -> Iterator[Scored]:
        """All that is scored: the retrained models, the originals, and each method in each setting that it can do."""
        for family in self.wanted["forget"]:
            yield self._scored("retrained", "", family, self.retrained(family))
            yield self._scored("original", "", family, self.originals())
            for access in ACCESS:
                for method in self.methods(access):
                    yield self._scored(method, access, family, self.unlearned(method, access, family))

    def _scored(self, method: str, access: str, family: str, models: Stage) -> Scored:
        names = {
            "experiment": self.name,
            "dataset": self.wanted["dataset"],
            "architecture": self.called,
            "method": method,
            "access": access,
            "forget": family,
            "address": models.address,
        }
        reads = {"dataset": self.dataset(), "forget": self.forget(family), "models": models}
        scores = Stage(
            kind="scores",
            name=f"scores-{family}",
            parameters={"names": names, **self._judge(family), "seed": self.seed},
            code=["amun_steps.steps.score"],
            builds_on={**reads, "signals": self.signals()},
            inside=models,
        )
        judged = self._judged(names, reads) if self.is_judged else None
        scores, judged = (s and self.stages.setdefault(s.slug, s) for s in (scores, judged))
        return Scored(self.name, method, access, family, scores, judged=judged)

    def _judged(self, names: Mapping[str, str], reads: Mapping[str, Stage]) -> Stage:
        """What other judges say of the models that are scored as `names`, from what scores `reads`."""
        family, models = names["forget"], reads["models"]
        more = {"confidences": self.confidences(), "retrained": self.retrained(family)}
        if self.config["judges"].get("u_lira") and models.kind != "submitted":  # which was unlearned nobody knows how
            method, access = names["method"], names["access"]
            more["shadows"] = self.shadows(method, access, family) if access else self.confidences()
        return Stage(
            kind="judged",
            name=f"judged-{family}",
            parameters={"names": names, **self._half(family)},
            code=["amun_steps.steps.judge"],
            builds_on={**reads, **more},
            inside=models,
        )

    @property
    def is_judged(self) -> bool:
        """Whether the config asks other judges than the paper's."""
        return self.name in self.config.get("judges", {}).get("experiments", ())

    @stage
    def shadows(self, method: str, access: str, family: str) -> Stage:
        """The reference models after unlearning by a method, as it was tuned, for U-LiRA."""
        run = {"forget_name": family, "unlearning": self._unlearning(method, access)}
        parameters, code = {**run, **self._half(family)}, ["amun_steps.steps.shadows", *self._method_code(method)]
        reads = self._unlearned_from(method)
        if "adversarial" in reads and "transferred" not in run["unlearning"]:
            parameters["attack"] = self.config["attacks"][self.attack(method)]
            code.append(f"amun_steps.attacks.{parameters['attack']['algorithm']}")
        tuned = self.tuned(method, access, family)
        reads |= {"inclusion": self.inclusion(), "references": self.references(), "forget": self.forget(family)}
        return Stage(
            kind="shadows",
            name=f"{method}-shadows",
            parameters=parameters,
            code=code,
            builds_on={**reads, "tuned": tuned},
            inside=tuned,
        )

    @stage
    def requests(self, requests: str) -> Stage:
        return Stage(
            kind="requests",
            name=requests,
            parameters=self.config["requests"][requests] | {"name": requests, "seed": self.seed},
            code=["amun_steps.steps.subsets"],
            builds_on={"dataset": self.dataset()},
            inside=self.dataset(),
        )

    @stage
    def continuous(self, method: str, access: str, requests: str, family: str, attack: str) -> Stage:
        """A sequence of requests by a method, as it was tuned for a family of forget sets.

        attack: the one that D_A is searched for anew with before each request; empty where it stays the originals'.
        """
        unlearning = {"requests_name": requests, "unlearning": self._unlearning(method, access)}
        parameters = {**unlearning, **self._judge(), "runs": self.runs}
        code = ["amun_steps.steps.continuous", *self._method_code(method)]
        if attack:
            parameters["attack"] = self.config["attacks"][attack]
            code.append(f"amun_steps.attacks.{parameters['attack']['algorithm']}")
        tuned = self.tuned(method, access, family)
        reads = {"requests": self.requests(requests), "tuned": tuned, "signals": self.signals()}
        return Stage(
            kind="continuous",
            name=f"{requests}{'-adaptive' if attack else ''}",
            parameters=parameters,
            code=code,
            builds_on={**self._unlearned_from(method), **reads},
            inside=tuned,
        )

    @stage
    def finetuned(self, family: str, recipe: str) -> Stage:
        """The originals fine-tuned on D_A and what could stand in its place."""
        found = self.adversarial(self.wanted["attack"])
        return Stage(
            kind="finetuned",
            name=f"finetuned-{family}",
            parameters={"forget_name": family, **recipe_of(self.config["training"][recipe]), "seed": self.seed},
            code=["amun_steps.steps.finetune", self.network_code],
            builds_on={**found.builds_on, "forget": self.forget(family), "adversarial": found},
            inside=found,
        )

    def attack(self, method: str) -> str:
        """The name of the attack whose adversarial examples a method takes."""
        return self.config["methods"][method].get("attack", self.wanted["attack"])

    def _module(self, method: str) -> str:
        return self.config["methods"][method].get("module", method)

    def _method_code(self, method: str) -> list[str]:
        return [f"amun_steps.methods.{self._module(method)}", self.network_code]

    def _unlearned_from(self, method: str) -> dict[str, Stage]:
        """What a method reads beside the samples to forget, by role."""
        reads = {"dataset": self.dataset(), "originals": self.originals()}
        if "adversarial" in method_needs(self._module(method)):
            reads["adversarial"] = self.adversarial(self.attack(method))
        return reads

    @property
    def runs(self) -> int:
        """How many times each method unlearns a set from an original."""
        return self.config["unlearning"][self.wanted["unlearning"]]["runs"]

    def _unlearning(self, method: str, access: str) -> dict[str, Any]:
        """The `unlearning` parameter of the steps that unlearn."""
        recipe = said(self.config["unlearning"][self.wanted["unlearning"]])
        del recipe["runs"]
        transferred = {"transferred": True} if self.config["methods"][method].get("transferred") else {}
        clipping = {k: v for k, v in self.originals().parameters.get("training", {}).items() if k == "clipping"}
        method_and_recipe = {"method": self._module(method), "remain": access == "with_remain", "recipe": recipe}
        return {**method_and_recipe, "seed": self.seed, **transferred, **clipping}

    def _judge(self, family: str = "") -> dict[str, Any]:
        """The parameters of RMIA."""
        return {**self.signals().parameters, "gamma": self.config["rmia"]["gamma"], **self._half(family)}

    def _half(self, family: str) -> dict[str, str]:
        """Where half of the references chose the family, the others judge."""
        return {"judges": "half"} if family and self.families[family].step == "memorised" else {}
