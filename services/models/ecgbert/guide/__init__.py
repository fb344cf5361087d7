"""The guide's ECGBERT as a family: sentences of a record, network, training and answers."""
