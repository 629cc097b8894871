# What people read, under plain names: cheap, and made again when what it shows, or its code, changes. A hidden file whose
# name has the view's address says what the plain names show now, so that no record of Snakemake's is needed to tell.
RUNS = PLAN.runs()


rule runs:
    input:
        [ancient(scores.file("runs.csv")) for scores in RUNS.builds_on.values()],
    output:
        csv="results/runs.csv",
        made=touch(f"results/.{RUNS.slug}"),
    log:
        "results/logs/runs.log",
    conda:
        "../envs/steps.yaml"
    params:
        options=RUNS.options,
    shell:
        "rm -f results/.runs-* && python -m amun_steps.runs {params.options} --runs {input} --output {output.csv} &> {log}"


for table in map(PLAN.table, config["tables"]):

    rule:
        name:
            table.name
        input:
            [ancient(scores.file("runs.csv")) for scores in table.builds_on.values()],
        output:
            csv=f"results/tables/{table.name}.csv",
            markdown=f"results/tables/{table.name}.md",
            latex=f"results/tables/{table.name}.tex",
            made=touch(f"results/tables/.{table.slug}"),
        log:
            f"results/logs/{table.name}.log",
        conda:
            "../envs/steps.yaml"
        params:
            options=table.options,
            older=f"results/tables/.{table.name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.tables --runs {input} {params.options}"
            " --csv {output.csv} --markdown-file {output.markdown} --latex-file {output.latex} &> {log}"
