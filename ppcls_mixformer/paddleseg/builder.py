"""PaddleSeg's builder, whose errors say in one line which component is wrong and why."""

import inspect
from types import SimpleNamespace

from paddleseg.cvlibs import SegBuilder

from ppcls_mixformer.hosting.advice import did_you_mean, nearest
from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.weights.checkpoint import WeightsError


class Builder(SegBuilder):
    """Builds model, data, loss and optimizer of a config.

    Raises:
        UserError: a component that does not exist, that does not have one of its arguments, or that
            refuses them.
    """

    def load_component_class(self, class_type):
        known = [name for components in self.comp_list for name in components.components_dict]
        if class_type not in known:
            near = nearest(class_type, known)
            hint = f"; did you mean {near}?" if near else ""
            raise UserError(f"type {class_type} is not known to this PaddleSeg{hint}")
        return super().load_component_class(class_type)

    def check_arguments(self, component_class, arguments):
        """Refuses `arguments` by names that a class does not have."""
        label, parameters = component_class.__name__, inspect.signature(component_class).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for name in arguments:
                if name not in parameters:
                    hint = did_you_mean(name, parameters)
                    raise UserError(f"{name} is not an argument of {label}{hint}")

    def build_component_impl(self, component_class, **arguments):
        self.check_arguments(component_class, arguments)
        label = component_class.__name__
        try:
            return component_class(**arguments)
        except WeightsError as error:
            raise UserError(f"{label}: {error}") from None
        except (TypeError, ValueError, FileNotFoundError) as error:
            raise UserError(f"{label} cannot be built: {error}") from None

    def build_component(self, cfg):
        try:
            return super().build_component(cfg)
        except RuntimeError as error:  # PaddleSeg wraps what was raised in a text of five lines
            cause = error.__context__ or error
            if isinstance(cause, UserError):
                raise cause from None
            raise UserError(f"{cfg.get('type')} cannot be built: {gist(cause)}") from None

    @property
    def train_dataset_class(self):
        """Where PaddleSeg looks for the number of classes, which `ADE20KLayout` has in the config only."""
        found, config = super().train_dataset_class, self.config.train_dataset_cfg
        if "num_classes" not in config:
            return found
        constants = {name: getattr(found, name) for name in ("IGNORE_INDEX", "IMG_CHANNELS")}
        return SimpleNamespace(NUM_CLASSES=config["num_classes"], **constants)
