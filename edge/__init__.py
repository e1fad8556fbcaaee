"""The agent on an edge box: reads enrolled devices, keeps every reading until the cloud has it. Knows no patients."""
