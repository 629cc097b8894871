# What people read, under plain names: cheap, and made again when what it shows, or its code, changes. A hidden file whose
# name has the view's address says what the plain names show now, so that no record of Snakemake's is needed to tell.
RUNS = PLAN.runs()


rule runs:
    input:
        runs=[ancient(scores.file("runs.csv")) for scores in RUNS.builds_on.values()],
        stale=stale(RUNS, "results/runs.csv"),
    output:
        csv="results/runs.csv",
        made=touch(f"results/.{RUNS.slug}"),
    log:
        "results/logs/runs.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        options=RUNS.options(),
    shell:
        "rm -f results/.runs-* && python -m amun_steps.runs {params.options} --runs {input.runs} --output {output.csv} &> {log}"


for table in map(PLAN.table, config["tables"]):

    rule:
        name:
            table.name
        input:
            runs=[ancient(scores.file("runs.csv")) for scores in table.builds_on.values()],
            stale=stale(table, f"results/tables/{table.name}.csv"),
        output:
            csv=f"results/tables/{table.name}.csv",
            markdown=f"results/tables/{table.name}.md",
            latex=f"results/tables/{table.name}.tex",
            made=touch(f"results/tables/.{table.slug}"),
        log:
            f"results/logs/{table.name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=table.options(),
            older=f"results/tables/.{table.name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.tables --runs {input.runs} {params.options}"
            " --csv {output.csv} --markdown-file {output.markdown} --latex-file {output.latex} &> {log}"
