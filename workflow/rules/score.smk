# Every metric of every model, from what the models say of each sample: no GPU, no network.


rule score:
    input:
        unless_there(
            "{dataset}/{models}/{scores}/runs.csv",
            dataset="{dataset}/dataset.h5",
            forget=of("scores", "forget", "forget.h5"),
            signals=of("scores", "signals", "signals.h5"),
            outputs=scored_outputs,
        ),
    output:
        scores=f"{STORE}/{{dataset}}/{{models}}/{{scores}}/scores.h5",
        runs=f"{STORE}/{{dataset}}/{{models}}/{{scores}}/runs.csv",
    log:
        "results/logs/{dataset}/{models}/{scores}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("score"),
    params:
        options=options("scores"),
    shell:
        "python -m amun_steps.steps.score --dataset {input.dataset} --forget {input.forget} --signals {input.signals}"
        " --outputs {input.outputs} {params.options} --scores {output.scores} --runs {output.runs} &> {log}"
