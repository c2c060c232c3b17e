"""Online learning: a challenger that follows the labels as they come, from the frozen champion on."""
