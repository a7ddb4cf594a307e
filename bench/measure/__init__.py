"""What bench/certificates is made of."""
