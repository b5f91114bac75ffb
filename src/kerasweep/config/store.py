"""Puts every schema into Hydra's ConfigStore, where the group files start from them."""

from hydra.core.config_store import ConfigStore

from kerasweep.config import data, model, root, search, training

SCHEMAS = {
    "data": data.DataConf,
    "augment": data.AugmentConf,
    "model": model.ModelConf,
    "initializer": model.InitializerConf,
    "initializer/constant": model.ConstantInitializerConf,
    "initializer/random_normal": model.RandomNormalInitializerConf,
    "regularizer": model.RegularizerConf,
    "optimizer/sgd": training.SGDConf,
    "optimizer/adam": training.AdamConf,
    "optimizer/adamw": training.AdamWConf,
    "optimizer/rmsprop": training.RMSpropConf,
    "schedule": training.ScheduleConf,
    "schedule/plateau": training.PlateauConf,
    "schedule/cosine": training.CosineConf,
    "schedule/exponential": training.ExponentialConf,
    "schedule/step": training.StepConf,
    "schedule/warmup_cosine": training.WarmupCosineConf,
    "training": training.TrainingConf,
    "sampler": search.SamplerConf,
    "sampler/tpe": search.TPEConf,
    "sampler/qmc": search.QMCConf,
    "sampler/cmaes": search.CmaEsConf,
    "sampler/nsga2": search.NSGAIIConf,
    "pruner": search.PrunerConf,
    "pruner/median": search.MedianPrunerConf,
    "pruner/asha": search.ASHAConf,
    "pruner/hyperband": search.HyperbandConf,
    "pruner/wilcoxon": search.WilcoxonConf,
    "pruner/patient": search.PatientConf,
    "pruner/threshold": search.ThresholdConf,
    "budget": search.BudgetConf,
    "storage": search.StorageConf,
    "tracking": search.TrackingConf,
    "train": root.TrainConf,
    "predict": root.PredictConf,
    "compare": root.CompareConf,
}


def register() -> None:
    """Store each schema in the config group `schema`; doing it twice changes nothing."""
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        group, _, leaf = f"schema/{name}".rpartition("/")
        store.store(group=group, name=leaf, node=node)
