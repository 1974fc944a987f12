"""What was not run for want of a tool is counted and named in every summary, not only with -rs."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: installs or computes for minutes; `make test-all` runs it")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
