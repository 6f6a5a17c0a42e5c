"""Speed, memory and accuracy of exports on this machine; each is measured in processes of its own."""
