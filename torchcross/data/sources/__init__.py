"""Task sources: a task with samples, over arrays, datasets and folders."""
