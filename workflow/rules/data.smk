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
        "python -m amun_steps.steps.dataset {params.options} --output {output} &> {log}"


rule forget:
    input:
        dataset=stored("{dataset}/dataset.h5"),
    output:
        f"{STORE}/{{dataset}}/{{forget}}/forget.h5",
    log:
        "results/logs/{dataset}/{forget}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("dataset"),
    params:
        options=options("forget"),
    shell:
        "python -m amun_steps.steps.subsets forget --dataset {input.dataset} {params.options} --output {output} &> {log}"


rule inclusion:
    input:
        dataset=stored("{dataset}/dataset.h5"),
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
        "python -m {params.module} inclusion --dataset {input.dataset} {params.options} --output {output} &> {log}"
