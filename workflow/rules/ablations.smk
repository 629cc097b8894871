# What only figures need: sequences of requests, and fine-tuning on D_A and what could stand in its place.


rule requests:
    input:
        unless_there(
            "{dataset}/{requests}/requests.h5",
            dataset="{dataset}/dataset.h5",
        ),
    output:
        f"{STORE}/{{dataset}}/{{requests}}/requests.h5",
    log:
        "results/logs/{dataset}/{requests}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("dataset"),
    params:
        options=options("requests"),
    shell:
        "python -m amun_steps.store.job steps.subsets requests --dataset {input.dataset} {params.options}"
        " --output {output} &> {log}"


rule continuous:
    input:
        unless_there(
            "{dataset}/{originals}/{tuned}/{continuous}/requests.csv",
            dataset="{dataset}/dataset.h5",
            originals="{dataset}/{originals}/originals.safetensors",
            requests=of("continuous", "requests", "requests.h5"),
            adversarial=adversarial_sets("continuous"),
            tuned="{dataset}/{originals}/{tuned}/best.json",
            signals=of("continuous", "signals", "signals.h5"),
        ),
    output:
        f"{STORE}/{{dataset}}/{{originals}}/{{tuned}}/{{continuous}}/requests.csv",
    log:
        "results/logs/{dataset}/{originals}/{tuned}/{continuous}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("unlearn"),
    params:
        options=options("continuous"),
    shell:
        "python -m amun_steps.store.job steps.continuous --dataset {input.dataset} --originals {input.originals}"
        " --requests {input.requests} --adversarial {input.adversarial} --tuned {input.tuned}"
        " --signals {input.signals} {params.options} --stack {resources.stack} --output {output} &> {log}"


rule finetuned:
    input:
        unless_there(
            "{dataset}/{originals}/{adversarial}/{finetuned}/finetuned.csv",
            dataset="{dataset}/dataset.h5",
            originals="{dataset}/{originals}/originals.safetensors",
            forget=of("finetuned", "forget", "forget.h5"),
            adversarial=adversarial_sets("finetuned"),
        ),
    output:
        f"{STORE}/{{dataset}}/{{originals}}/{{adversarial}}/{{finetuned}}/finetuned.csv",
    log:
        "results/logs/{dataset}/{originals}/{adversarial}/{finetuned}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("unlearn"),
    params:
        options=options("finetuned"),
    shell:
        "python -m amun_steps.store.job steps.finetune --dataset {input.dataset} --originals {input.originals}"
        " --forget {input.forget}"
        " --adversarial {input.adversarial} {params.options} --stack {resources.stack} --output {output} &> {log}"
