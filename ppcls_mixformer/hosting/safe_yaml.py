"""YAML that holds data: no tag makes an object, and no anchor makes more of a file than it seems."""

import re

import yaml

from ppcls_mixformer.hosting import trees

SIZE = 100_000  # nodes of a file once its aliases are written out


def load(stream, Loader=None, tags=None):  # noqa: N803, stands in for yaml.load
    """What the YAML in `stream` holds.

    Args:
        Loader: is ignored; hosts ask for loaders that make objects.
        tags: `{tag: constructor}` of tags that are known beside YAML's own.

    Raises:
        yaml.YAMLError: not YAML, a tag that is not known, or a document without end.
    """
    loader = _Loader(stream)
    loader.yaml_constructors = {**_Loader.yaml_constructors, **(tags or {})}
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML 1.1, in which 1e-4 is a number all the same, as in YAML 1.2."""

    depth = 0

    def compose_node(self, parent, index):
        if self.depth > trees.DEPTH:
            raise yaml.YAMLError(f"it is nested more than {trees.DEPTH} levels deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self):
        node = super().get_single_node()
        try:
            trees.check_size(node, _below, SIZE)
        except ValueError as error:
            raise yaml.YAMLError(str(error)) from None
        return node

    def construct_object(self, node, deep=False):
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            return super().construct_object(node, deep)
        except (LookupError, ValueError) as error:  # such as !!int x, or the 31st of February
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _below(node):
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()
