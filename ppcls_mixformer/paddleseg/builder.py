"""PaddleSeg's builder, whose errors say in one line which component is wrong and why."""

import difflib
import inspect
from types import SimpleNamespace

from paddleseg.cvlibs import SegBuilder

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import WeightsError


class Builder(SegBuilder):
    """Builds model, data, loss and optimizer of a config.

    Raises:
        UserError: a component that does not exist, with an argument it does not have, or that
            refuses its arguments.
    """

    def load_component_class(self, class_type):
        known = [name for components in self.comp_list for name in components.components_dict]
        if class_type not in known:
            raise UserError(f"type {class_type} is not known to this PaddleSeg{nearest(class_type, known)}")
        return super().load_component_class(class_type)

    def build_component_impl(self, component_class, **arguments):
        parameters = inspect.signature(component_class).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for name in arguments:
                if name not in parameters:
                    raise UserError(
                        f"{name} is not an argument of {component_class.__name__}{nearest(name, parameters)}"
                    )
        try:
            return component_class(**arguments)
        except WeightsError as error:
            raise UserError(f"{component_class.__name__}: {error}") from None
        except (TypeError, ValueError) as error:
            raise UserError(f"{component_class.__name__} cannot be built: {error}") from None

    def build_component(self, cfg):
        try:
            return super().build_component(cfg)
        except RuntimeError as error:
            if isinstance(error.__context__, UserError):  # PaddleSeg wraps it in a text of five lines
                raise error.__context__ from None
            raise

    @property
    def train_dataset_class(self):
        """What PaddleSeg asks for the class count, which `ADE20KLayout` has in the config only."""
        found, config = super().train_dataset_class, self.config.train_dataset_cfg
        if "num_classes" not in config:
            return found
        constants = {name: getattr(found, name) for name in ("IGNORE_INDEX", "IMG_CHANNELS")}
        return SimpleNamespace(NUM_CLASSES=config["num_classes"], **constants)


def nearest(name, known):
    """`; did you mean …?`, or all that there is."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
