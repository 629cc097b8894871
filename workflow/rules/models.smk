# Models trained from scratch: originals on D, reference models on their half of train + test, retrained ones on D_R.
# Where the config has files in their place, the module of the step is another one.


rule originals:
    input:
        unless_there(
            "{dataset}/{originals}/originals.safetensors",
            "{dataset}/{originals}/originals.h5",
            dataset="{dataset}/dataset.h5",
        ),
    output:
        models=f"{STORE}/{{dataset}}/{{originals}}/originals.safetensors",
        outputs=f"{STORE}/{{dataset}}/{{originals}}/originals.h5",
    log:
        "results/logs/{dataset}/{originals}/originals.log",
    priority: 2  # how good they are is the first thing to see
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("originals"),
    params:
        module=module("originals"),
        options=options("originals"),
    shell:
        "python -m amun_steps.store.job {params.module} originals --dataset {input.dataset} {params.options}"
        " --stack {resources.stack}"
        " --models {output.models} --outputs {output.outputs} &> {log}"


rule retrained:
    input:
        unless_there(
            "{dataset}/{forget}/{retrained}/set{set}.h5",
            dataset="{dataset}/dataset.h5",
            forget="{dataset}/{forget}/forget.h5",
        ),
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
        "python -m amun_steps.store.job {params.module} retrained --dataset {input.dataset} --forget {input.forget}"
        " --set {wildcards.set}"
        " {params.options} --stack {resources.stack} --models {output.models} --outputs {output.outputs} &> {log}"


# A part of the reference models. Its output is the listing that names them: they are files of their own beside it, so
# that their number in a job can be changed, and a job stopped, without losing the ones that are there.
rule references:
    input:
        unless_there(
            "{dataset}/{inclusion}/{references}/models{first}to{last}.sha256",
            dataset="{dataset}/dataset.h5",
            inclusion="{dataset}/{inclusion}/inclusion.h5",
        ),
    output:
        f"{STORE}/{{dataset}}/{{inclusion}}/{{references}}/models{{first}}to{{last}}.sha256",
    log:
        "results/logs/{dataset}/{inclusion}/{references}/models{first}to{last}.log",
    priority: 1  # every score waits for them
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("references"),
    params:
        module=module("references"),
        options=options("references"),
    shell:
        "python -m amun_steps.store.job {params.module} references --dataset {input.dataset} --inclusion {input.inclusion}"
        " --first {wildcards.first} --last {wildcards.last} {params.options} --stack {resources.stack} --output {output}"
        " &> {log}"


rule signals:
    input:
        unless_there(
            "{dataset}/{inclusion}/{references}/{signals}/signals.h5",
            dataset="{dataset}/dataset.h5",
            inclusion="{dataset}/{inclusion}/inclusion.h5",
            listings=reference_listings("references"),
        ),
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
        "python -m amun_steps.store.job steps.signals --dataset {input.dataset} --inclusion {input.inclusion}"
        " --listings {input.listings}"
        " {params.options} --stack {resources.stack} --output {output} &> {log}"
