"""Reports on a study's runs: statistics, tables, figures and a page."""
