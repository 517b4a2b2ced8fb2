"""Predecessors of PerturbedVAE, written anew after their papers: Discrepancy-VAE and SAMS-VAE, asked as this book asks.

Source: `perturbedvae.md` section 13.
"""
