# Every metric of every model, from what the models say of each sample: no GPU, and no network but the references'.


rule score:
    input:
        unless_there(
            "{dataset}/{models}/{scores}/runs.csv",
            dataset="{dataset}/dataset.h5",
            forget=of("scores", "forget", "forget.h5"),
            signals=of("scores", "signals", "signals.h5"),
            outputs=reported("scores", "models"),
        ),
    output:
        scores=f"{STORE}/{{dataset}}/{{models}}/{{scores}}/scores.h5",
        runs=f"{STORE}/{{dataset}}/{{models}}/{{scores}}/runs.csv",
    log:
        "results/logs/{dataset}/{models}/{scores}.log",
    priority: 2  # what came out is on the screen as soon as it can be
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("score"),
    params:
        options=options("scores"),
    shell:
        "python -m amun_steps.store.job steps.score --dataset {input.dataset} --forget {input.forget}"
        " --signals {input.signals}"
        " --outputs {input.outputs} {params.options} --scores {output.scores} --runs {output.runs} &> {log}"


rule confidences:
    input:
        unless_there(
            "{dataset}/{inclusion}/{references}/{confidences}/confidences.h5",
            dataset="{dataset}/dataset.h5",
            inclusion="{dataset}/{inclusion}/inclusion.h5",
            listings=reference_listings("references"),
        ),
    output:
        f"{STORE}/{{dataset}}/{{inclusion}}/{{references}}/{{confidences}}/confidences.h5",
    log:
        "results/logs/{dataset}/{inclusion}/{references}/{confidences}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("signals"),
    params:
        options=options("confidences"),
    shell:
        "python -m amun_steps.store.job steps.confidences --dataset {input.dataset} --inclusion {input.inclusion}"
        " --listings {input.listings} {params.options} --stack {resources.stack} --output {output} &> {log}"


# What other judges than the paper's say, where the config asks for them.
rule judge:
    input:
        unless_there(
            "{dataset}/{models}/{judged}/judged.csv",
            dataset="{dataset}/dataset.h5",
            forget=of("judged", "forget", "forget.h5"),
            confidences=of("judged", "confidences", "confidences.h5"),
            outputs=reported("judged", "models"),
            retrained=reported("judged", "retrained"),
            shadows=of_kind("judged", "shadows"),
        ),
    output:
        f"{STORE}/{{dataset}}/{{models}}/{{judged}}/judged.csv",
    log:
        "results/logs/{dataset}/{models}/{judged}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("score"),
    params:
        options=options("judged"),
        shadows=lambda wildcards, input: f"--shadows {input.shadows}" if input.get("shadows") else "",
    shell:
        "python -m amun_steps.store.job steps.judge --dataset {input.dataset} --forget {input.forget}"
        " --confidences {input.confidences}"
        " --outputs {input.outputs} --retrained {input.retrained} {params.shadows} {params.options}"
        " --output {output} &> {log}"
