"""Net# topologies: takes the language's text, a file or a name; gives a checked network, its table and its drawing.

`compile` turns the network into a torch module; everything else here is free of torch. Writes only the SVG and ONNX
files it is asked for.
"""
