# What people read, under plain names: cheap, and made again when what it shows, or its code, changes. A hidden file whose
# name has the view's address says what the plain names show now, so that no record of Snakemake's is needed to tell.
for name in config["experiments"]:
    view = views.runs(PLAN, name)

    rule:
        name:
            f"runs_{name}"
        input:
            runs=[ancient(file) for file in view.files],
            stale=stale(view),
        output:
            csv=view.path,
            made=touch(view.marker),
        log:
            f"{RESULTS}/logs/runs_{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=view.older,
        shell:
            "rm -f {params.older} && python -m amun_steps.store.job views.runs {params.options} --runs {input.runs}"
            " --output {output.csv}"
            " &> {log}"


for name in config["tables"]:
    view = views.table(PLAN, name)

    rule:
        name:
            f"table_{name}"
        input:
            runs=[ancient(file) for file in view.files],
            stale=stale(view),
        output:
            csv=view.path,
            markdown=f"{RESULTS}/tables/{name}.md",
            latex=f"{RESULTS}/tables/{name}.tex",
            made=touch(view.marker),
        log:
            f"{RESULTS}/logs/{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=view.older,
        shell:
            "rm -f {params.older} && python -m amun_steps.store.job views.tables --runs {input.runs} {params.options}"
            " --csv {output.csv} --markdown-file {output.markdown} --latex-file {output.latex} &> {log}"


for name in config["figures"]:
    view = views.figure(PLAN, name)

    rule:
        name:
            f"figure_{name}"
        input:
            shown=[ancient(file) for file in view.files],
            stale=stale(view),
        output:
            pdf=f"{RESULTS}/figures/{name}.pdf",
            png=f"{RESULTS}/figures/{name}.png",
            csv=view.path,
            made=touch(view.marker),
        log:
            f"{RESULTS}/logs/{name}.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=view.stage.options(),
            older=view.older,
        shell:
            "rm -f {params.older} && python -m amun_steps.store.job views.figures --inputs {input.shown} {params.options}"
            " --pdf {output.pdf} --png {output.png} --csv {output.csv} &> {log}"


CLAIMS = views.claims(PLAN)


rule claims:
    input:
        # their markers, not their plain names: a job after one that runs does not run where all that it takes from it is
        # there and ancient(), whatever else it takes that is new
        shown=[ancient(view.marker) for view in CLAIMS.views],
        stale=stale(CLAIMS),
    output:
        csv=CLAIMS.path,
        made=touch(CLAIMS.marker),
    log:
        f"{RESULTS}/logs/claims.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        options=CLAIMS.stage.options(),
        older=CLAIMS.older,
        runs=[view.path for view in CLAIMS.views if view.path.startswith(f"{RESULTS}/runs/")],
        figures=[view.path for view in CLAIMS.views if view.path.startswith(f"{RESULTS}/figures/")],
    shell:
        "rm -f {params.older} && python -m amun_steps.store.job views.claims --runs {params.runs} --figures"
        " {params.figures}"
        " {params.options} --output {output.csv} &> {log}"


JUDGES = judgements(PLAN) if "judges" in config else None
if JUDGES:

    rule judgements:
        input:
            judged=[ancient(file) for file in JUDGES.files],
            runs=[ancient(view.marker) for view in JUDGES.views],  # as those of the claims
            stale=stale(JUDGES),
        output:
            csv=JUDGES.path,
            efficiency=f"{RESULTS}/efficiency.csv",
            markdown=f"{RESULTS}/judges.md",
            made=touch(JUDGES.marker),
        log:
            f"{RESULTS}/logs/judges.log",
        localrule: True
        conda:
            "../envs/steps.yaml"
        params:
            options=JUDGES.stage.options(),
            older=JUDGES.older,
            runs=[view.path for view in JUDGES.views],
        shell:
            "rm -f {params.older} && python -m amun_steps.store.job views.judgements --judged {input.judged}"
            " --runs {params.runs}"
            " {params.options} --csv {output.csv} --efficiency {output.efficiency} --markdown-file {output.markdown}"
            " &> {log}"


# what methods are compared by, as options
MEASURED = f"--runs {' '.join(view.path for view in views.all_runs(PLAN))}" + (
    f" --judged {JUDGES.path}" if JUDGES else ""
)
COMPARISON = compared.comparison(PLAN)


rule comparison:
    input:
        shown=[ancient(view.marker) for view in COMPARISON.views],  # as those of the claims
        stale=stale(COMPARISON),
    output:
        csv=COMPARISON.path,
        markdown=f"{RESULTS}/comparison.md",
        pdf=f"{RESULTS}/comparison.pdf",
        png=f"{RESULTS}/comparison.png",
        made=touch(COMPARISON.marker),
    log:
        f"{RESULTS}/logs/comparison.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        options=COMPARISON.stage.options(),
        older=COMPARISON.older,
        measured=MEASURED,
    shell:
        "rm -f {params.older} && python -m amun_steps.store.job views.comparison {params.measured} {params.options}"
        " --csv {output.csv} --markdown-file {output.markdown} --pdf {output.pdf} --png {output.png} &> {log}"


LEADERBOARD = compared.leaderboard(PLAN)


rule leaderboard:
    input:
        shown=[ancient(view.marker) for view in LEADERBOARD.views],  # as those of the claims
        stale=stale(LEADERBOARD),
    output:
        csv=LEADERBOARD.path,
        markdown=f"{RESULTS}/leaderboard.md",
        pdf=f"{RESULTS}/leaderboard.pdf",
        png=f"{RESULTS}/leaderboard.png",
        made=touch(LEADERBOARD.marker),
    log:
        f"{RESULTS}/logs/leaderboard.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        options=LEADERBOARD.stage.options(),
        older=LEADERBOARD.older,
        measured=MEASURED,
        comparison=COMPARISON.path,
    shell:
        "rm -f {params.older} && python -m amun_steps.store.job views.leaderboard {params.measured}"
        " --comparison {params.comparison}"
        " {params.options} --csv {output.csv} --markdown-file {output.markdown} --pdf {output.pdf}"
        " --png {output.png} &> {log}"


OVERVIEW = compared.overview(PLAN)


rule overview:
    input:
        shown=[ancient(view.marker) for view in OVERVIEW.views],  # as those of the claims
        stale=stale(OVERVIEW),
    output:
        csv=OVERVIEW.path,
        markdown=f"{RESULTS}/overview.md",
        gaps=multiext(f"{RESULTS}/overview_gaps", ".pdf", ".png"),
        trades=multiext(f"{RESULTS}/overview_trades", ".pdf", ".png"),
        made=touch(OVERVIEW.marker),
    log:
        f"{RESULTS}/logs/overview.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        options=OVERVIEW.stage.options(),
        older=OVERVIEW.older,
        measured=MEASURED,
    shell:
        "rm -f {params.older} && python -m amun_steps.store.job views.overview {params.measured} {params.options}"
        " --csv {output.csv} --markdown-file {output.markdown} --gaps-pdf {output.gaps[0]} --gaps-png {output.gaps[1]}"
        " --trades-pdf {output.trades[0]} --trades-png {output.trades[1]} &> {log}"


TRAINING = views.training(PLAN)


rule report:
    input:
        # a model or a grid that is new has new scores, which are not ancient(), so these may be
        trained=[[ancient(file) for file in panels.files] for _, panels in TRAINING],
        tables=expand(f"{RESULTS}/tables/{{table}}.md", table=config["tables"]),
        figures=expand(f"{RESULTS}/figures/{{figure}}.png", figure=config["figures"]),
        runs=expand(f"{RESULTS}/runs/{{experiment}}.csv", experiment=config["experiments"]),
        claims=f"{RESULTS}/claims.csv",
        overview=f"{RESULTS}/overview.md",
        opening=[f"{RESULTS}/overview_gaps.png", f"{RESULTS}/overview_trades.png"],
        compared=[f"{RESULTS}/leaderboard.md", f"{RESULTS}/comparison.md"],
        pictures=[f"{RESULTS}/leaderboard.png", f"{RESULTS}/comparison.png"],
        judges=f"{RESULTS}/judges.md" if JUDGES else [],
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        "../envs/steps.yaml"
    params:
        captions=shlex.join(views.captions(PLAN)),
        judges=f"--judges {RESULTS}/judges.md" if JUDGES else "",
        trained=shlex.join(json.dumps({"title": t, "panels": p.panels, "inputs": list(p.files)}) for t, p in TRAINING),
        store=lambda wildcards: STORE,
        # as it is after all --configfile and --config; a function, since Snakemake would fill in the {set} of a pattern
        config=lambda wildcards: shlex.quote(json.dumps(config)),
    shell:
        "python -m amun_steps.store.job views.report --tables {input.tables} --figures {input.figures}"
        " --captions {params.captions}"
        " --runs {input.runs} --claims {input.claims} --overview {input.overview} --opening {input.opening}"
        " --compared {input.compared} --pictures {input.pictures} {params.judges} --trained {params.trained}"
        " --config {params.config} --store {params.store} --output {output} &> {log}"
