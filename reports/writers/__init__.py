"""The writers of the formats: each writes the tree of nodes that `reports.document` builds."""
