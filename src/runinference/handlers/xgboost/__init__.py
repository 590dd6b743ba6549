"""XGBoost: boosters and estimators, from JSON or UBJ files."""
