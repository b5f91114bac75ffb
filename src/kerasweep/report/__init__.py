"""What a study's runs say, put together: statistics, tables, figures and a page."""
