"""What models are judged by: RMIA, MIS, accuracies, Avg. Gap."""
