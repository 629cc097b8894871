# Models trained from scratch: originals on D, reference models on their half of train + test, retrained ones on D_R.
# Where the config has files in their place, the module of the step is another one.


rule originals:
    input:
        dataset=stored("{dataset}/dataset.h5"),
    output:
        models=f"{STORE}/{{dataset}}/{{originals}}/originals.safetensors",
        outputs=f"{STORE}/{{dataset}}/{{originals}}/originals.h5",
    log:
        "results/logs/{dataset}/{originals}/originals.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("originals"),
    params:
        module=module("originals"),
        options=options("originals"),
    shell:
        "python -m {params.module} originals --dataset {input.dataset} {params.options} --stack {resources.stack}"
        " --models {output.models} --outputs {output.outputs} &> {log}"


rule retrained:
    input:
        dataset=stored("{dataset}/dataset.h5"),
        forget=stored("{dataset}/{forget}/forget.h5"),
    output:
        models=f"{STORE}/{{dataset}}/{{forget}}/{{retrained}}/set{{set}}.safetensors",
        outputs=f"{STORE}/{{dataset}}/{{forget}}/{{retrained}}/set{{set}}.h5",
    log:
        "results/logs/{dataset}/{forget}/{retrained}/set{set}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("retrained"),
    params:
        module=module("retrained"),
        options=options("retrained"),
    shell:
        "python -m {params.module} retrained --dataset {input.dataset} --forget {input.forget} --set {wildcards.set}"
        " {params.options} --stack {resources.stack} --models {output.models} --outputs {output.outputs} &> {log}"


# One rule for each job's share of the reference models: every model is a file of its own, so that their number in a job
# can be changed without losing the ones that are there.
for count, first in reference_jobs():
    members = range(first, min(first + JOBS["references_per_job"], count))

    rule:
        name:
            f"references{members.start}to{members.stop - 1}of{count}"
        input:
            dataset=stored("{dataset}/dataset.h5"),
            inclusion=stored("{dataset}/{inclusion}/inclusion.h5"),
        output:
            [f"{STORE}/{{dataset}}/{{inclusion}}/{{references}}/reference{r}.safetensors" for r in members],
        log:
            f"results/logs/{{dataset}}/{{inclusion}}/{{references}}/references{first}.log",
        wildcard_constraints:
            inclusion=f"inclusion{count}-[0-9a-f]+",
        conda:
            "../envs/steps.yaml"
        resources:
            **worth("references"),
        params:
            module=module("references"),
            options=options("references"),
            members=list(members),  # here, since the text below is put together when the loop has long ended
        shell:
            "python -m {params.module} references --dataset {input.dataset} --inclusion {input.inclusion}"
            " --members {params.members} {params.options} --stack {resources.stack} --models {output} &> {log}"


rule signals:
    input:
        dataset=stored("{dataset}/dataset.h5"),
        models=reference_models,
    output:
        f"{STORE}/{{dataset}}/{{inclusion}}/{{references}}/{{signals}}/signals.h5",
    log:
        "results/logs/{dataset}/{inclusion}/{references}/{signals}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("signals"),
    params:
        options=options("signals"),
    shell:
        "python -m amun_steps.steps.signals --dataset {input.dataset} --models {input.models} {params.options}"
        " --stack {resources.stack} --output {output} &> {log}"
