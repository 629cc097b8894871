# Algorithm 1, once for every training sample of each original model (Appendix E.1), or for those of forget sets alone.


rule adversarial:
    input:
        unless_there(
            "{dataset}/{originals}/{adversarial}/original{original}.h5",
            dataset="{dataset}/dataset.h5",
            originals="{dataset}/{originals}/originals.safetensors",
            forget=attacked_sets,
        ),
    output:
        f"{STORE}/{{dataset}}/{{originals}}/{{adversarial}}/original{{original}}.h5",
    log:
        "results/logs/{dataset}/{originals}/{adversarial}/original{original}.log",
    conda:
        "../envs/steps.yaml"
    resources:
        **worth("adversarial"),
    params:
        options=options("adversarial"),
    shell:
        "python -m amun_steps.store.job steps.adversarial --dataset {input.dataset} --originals {input.originals}"
        " --original {wildcards.original} --forget {input.forget} {params.options} --output {output} &> {log}"
