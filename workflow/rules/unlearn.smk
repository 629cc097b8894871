# Each method, in each setting, for each family of forget sets: tuned on the tuning set, then run on the reported ones.


rule tune:
    input:
        unless_there(
            "{dataset}/{originals}/{tuned}/part{part}of{parts}.csv",
            dataset="{dataset}/dataset.h5",
            originals="{dataset}/{originals}/originals.safetensors",
            forget=of("tuned", "forget", "forget.h5"),
            adversarial=adversarial_sets("tuned"),
            retrained=tuning_retrained,
            signals=of("tuned", "signals", "signals.h5"),
        ),
    output:
        f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/part{{part}}of{{parts}}.csv",
    log:
        "results/logs/{dataset}/{originals}/{tuned}/part{part}of{parts}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("tune"),
    params:
        options=options("tuned"),
    shell:
        "python -m amun_steps.store.job steps.tune --dataset {input.dataset} --originals {input.originals}"
        " --forget {input.forget}"
        " --adversarial {input.adversarial} --retrained {input.retrained} --signals {input.signals} {params.options}"
        " --part {wildcards.part} --parts {wildcards.parts} --stack {resources.stack} --output {output} &> {log}"


rule choose:
    input:
        unless_there(
            "{dataset}/{originals}/{tuned}/grid.csv",
            "{dataset}/{originals}/{tuned}/best.json",
            parts=tuning_parts,
        ),
    output:
        whole=f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/grid.csv",
        best=f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/best.json",
    log:
        "results/logs/{dataset}/{originals}/{tuned}/choose.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("score"),
    params:
        options=options("tuned", "grid", "on", "limit", "racing"),
    shell:
        "python -m amun_steps.store.job steps.choose --parts {input.parts} {params.options} --whole {output.whole}"
        " --best {output.best}"
        " &> {log}"


rule unlearn:
    input:
        unless_there(
            "{dataset}/{originals}/{tuned}/{unlearned}/unlearned.h5",
            dataset="{dataset}/dataset.h5",
            originals="{dataset}/{originals}/originals.safetensors",
            forget=of("unlearned", "forget", "forget.h5"),
            adversarial=adversarial_sets("unlearned"),
            tuned="{dataset}/{originals}/{tuned}/best.json",
        ),
    output:
        models=f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/{{unlearned}}/unlearned.safetensors",
        outputs=f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/{{unlearned}}/unlearned.h5",
    log:
        "results/logs/{dataset}/{originals}/{tuned}/{unlearned}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("unlearn"),
    params:
        options=options("unlearned"),
    shell:
        "python -m amun_steps.store.job steps.unlearn --dataset {input.dataset} --originals {input.originals}"
        " --forget {input.forget}"
        " --adversarial {input.adversarial} --tuned {input.tuned} {params.options} --stack {resources.stack}"
        " --models {output.models} --outputs {output.outputs} &> {log}"


# The reference models after the same unlearning, for U-LiRA.
rule shadows:
    input:
        unless_there(
            "{dataset}/{originals}/{tuned}/{shadows}/shadows.h5",
            dataset="{dataset}/dataset.h5",
            inclusion=of("shadows", "inclusion", "inclusion.h5"),
            listings=reference_listings("shadows"),
            originals="{dataset}/{originals}/originals.safetensors",
            forget=of("shadows", "forget", "forget.h5"),
            adversarial=adversarial_sets("shadows"),
            tuned="{dataset}/{originals}/{tuned}/best.json",
        ),
    output:
        f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/{{shadows}}/shadows.h5",
    log:
        "results/logs/{dataset}/{originals}/{tuned}/{shadows}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("unlearn"),
    params:
        options=options("shadows"),
    shell:
        "python -m amun_steps.store.job steps.shadows --dataset {input.dataset} --inclusion {input.inclusion}"
        " --listings {input.listings}"
        " --originals {input.originals} --forget {input.forget} --adversarial {input.adversarial} --tuned {input.tuned}"
        " {params.options} --stack {resources.stack} --output {output} &> {log}"


# What somebody else unlearned: a submission.
rule submitted:
    input:
        unless_there(
            "{dataset}/{originals}/{submitted}/submitted.h5",
            dataset="{dataset}/dataset.h5",
            forget=of("submitted", "forget", "forget.h5"),
        ),
    output:
        models=f"{STORE}/{{dataset}}/{{originals}}/{{submitted}}/submitted.safetensors",
        outputs=f"{STORE}/{{dataset}}/{{originals}}/{{submitted}}/submitted.h5",
    log:
        "results/logs/{dataset}/{originals}/{submitted}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("signals"),
    params:
        options=options("submitted"),
    shell:
        "python -m amun_steps.store.job steps.given submitted --dataset {input.dataset} --forget {input.forget}"
        " {params.options}"
        " --stack {resources.stack} --models {output.models} --outputs {output.outputs} &> {log}"
