"""The parts of ../check: each is a function from a Tree to a list of complaints."""
