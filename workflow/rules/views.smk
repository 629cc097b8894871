# What people read, under plain names: cheap, and made again when what it shows, or its code, changes. A hidden file whose
# name has the view's address says what the plain names show now, so that no record of Snakemake's is needed to tell.
for name in config["experiments"]:
    view = views.runs(PLAN, name)

    rule:
        name:
            f"runs_{name}"
        input:
            runs=[ancient(file) for file in view.files],
            stale=stale(view, f"results/runs/{name}.csv"),
        output:
            csv=f"results/runs/{name}.csv",
            made=touch(f"results/runs/.{view.stage.slug}"),
        log:
            f"results/logs/runs_{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=f"results/runs/.{name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.runs {params.options} --runs {input.runs} --output {output.csv}"
            " &> {log}"


for name in config["tables"]:
    view = views.table(PLAN, name)

    rule:
        name:
            name
        input:
            runs=[ancient(file) for file in view.files],
            stale=stale(view, f"results/tables/{name}.csv"),
        output:
            csv=f"results/tables/{name}.csv",
            markdown=f"results/tables/{name}.md",
            latex=f"results/tables/{name}.tex",
            made=touch(f"results/tables/.{view.stage.slug}"),
        log:
            f"results/logs/{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=f"results/tables/.{name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.tables --runs {input.runs} {params.options}"
            " --csv {output.csv} --markdown-file {output.markdown} --latex-file {output.latex} &> {log}"


for name in config["figures"]:
    view = views.figure(PLAN, name)

    rule:
        name:
            name
        input:
            shown=[ancient(file) for file in view.files],
            stale=stale(view, f"results/figures/{name}.pdf"),
        output:
            pdf=f"results/figures/{name}.pdf",
            png=f"results/figures/{name}.png",
            csv=f"results/figures/{name}.csv",
            made=touch(f"results/figures/.{view.stage.slug}"),
        log:
            f"results/logs/{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=f"results/figures/.{name}-*",
        shell:
            "rm -f {params.older} && python -m amun_steps.figures --inputs {input.shown} {params.options}"
            " --pdf {output.pdf} --png {output.png} --csv {output.csv} &> {log}"
