"""Membership-inference attacks: RMIA with reference models, and the older SVM one (MIS)."""
