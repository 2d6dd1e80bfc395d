"""One toolbox for both packages: what stands here stands nowhere else."""
