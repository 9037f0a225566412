"""Net# topologies: takes the language's text, a file or a name; returns a checked network, its table and its drawing.

`compile` turns the network into a torch module; nothing else here needs torch. Writes only the requested SVG and ONNX
files.
"""
