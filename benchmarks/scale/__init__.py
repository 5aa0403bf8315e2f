"""How load grows: what each part costs, a simulation of many processes, and real ones to hold it against."""
