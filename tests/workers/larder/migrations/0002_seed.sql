INSERT INTO jars (label, grams, sealed) VALUES ('plum', 250.5, 1);
