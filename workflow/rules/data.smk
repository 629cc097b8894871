# What everything else builds on: the data set, the forget sets and RMIA's inclusion matrix.


rule dataset:
    output:
        f"{STORE}/{{dataset}}/dataset.h5",
    log:
        "results/logs/{dataset}/dataset.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("dataset"),
    params:
        options=options("dataset"),
    shell:
        "python -m amun_steps.store.job steps.dataset {params.options} --output {output} &> {log}"


rule forget:
    input:
        unless_there(
            "{dataset}/{forget}/forget.h5",
            dataset="{dataset}/dataset.h5",
            signals=of("forget", "signals", "signals.h5"),  # where the references say what is memorised
        ),
    output:
        f"{STORE}/{{dataset}}/{{forget}}/forget.h5",
    log:
        "results/logs/{dataset}/{forget}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("dataset"),
    params:
        step=lambda wildcards: stage(wildcards, "forget").step,
        signals=lambda wildcards, input: f"--signals {input.signals}" if input.get("signals") else "",
        options=options("forget"),
    shell:
        "python -m amun_steps.store.job steps.forget {params.step} --dataset {input.dataset} {params.signals}"
        " {params.options}"
        " --output {output} &> {log}"


rule inclusion:
    input:
        unless_there(
            "{dataset}/{inclusion}/inclusion.h5",
            dataset="{dataset}/dataset.h5",
        ),
    output:
        f"{STORE}/{{dataset}}/{{inclusion}}/inclusion.h5",
    log:
        "results/logs/{dataset}/{inclusion}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("dataset"),
    params:
        module=module("inclusion"),
        options=options("inclusion"),
    shell:
        "python -m amun_steps.store.job {params.module} inclusion --dataset {input.dataset} {params.options}"
        " --output {output} &> {log}"
