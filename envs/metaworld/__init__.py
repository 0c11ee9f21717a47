"""Meta-World: fifty table-top tasks of a Sawyer arm, from the package `metaworld`."""
