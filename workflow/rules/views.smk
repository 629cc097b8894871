# What people read, under plain names: cheap, and made again when what it shows, or its code, changes. A hidden file whose
# name has the view's address says what the plain names show now, so that no record of Snakemake's is needed to tell.
for runs in map(PLAN.runs, config["experiments"]):

    rule:
        name:
            f"runs_{runs.name}"
        input:
            runs=[ancient(scores.file("runs.csv")) for scores in runs.builds_on.values()],
            stale=stale(runs, f"results/runs/{runs.name}.csv"),
        output:
            csv=f"results/runs/{runs.name}.csv",
            made=touch(f"results/runs/.{runs.slug}"),
        log:
            f"results/logs/runs_{runs.name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=runs.options(),
            older=f"results/runs/.{runs.name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.runs {params.options} --runs {input.runs} --output {output.csv}"
            " &> {log}"


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
