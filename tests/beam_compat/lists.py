"""Which of Beam's tests do not apply here, and which fail because something is different on purpose.

By test module and test, with the reason. The lists must stay true: a test that is not there any more, or one that is
listed as different and passes, is an error.
"""

WHOLE_MODULE = "*"

_SKIPPED_BY_BEAM = "is skipped by Beam itself: it needs Google Cloud"
_WHICH_COPY = "counts the batches of each copy; the one that is free takes a batch, so that time decides"
_HOW_OFTEN = "counts how often models take turns; each runs on all elements that are there, so that time decides"
_TEXT = "asks for the text of Beam's message; the same is refused here, by a ConfigurationError with a text of its own"
_ROW_TEXT = "asks for a text of Python's; the same is refused here, with one that says that pairs are needed"
_MODEL_STATUS = "_ModelStatus is private"
_MODEL_MANAGER = "_ModelHandlerManager is private"
_REMOTE = "runs RemoteModelHandler alone, which is Beam's own class here too"
_ATTRIBUTES = "its handler sets private attributes of Beam's instead of calling super().__init__()"
_LOAD = "replaces the private function _load_model of Beam's module"

NOT_APPLICABLE: dict[str, dict[str, str]] = {
    "base_test": {
        "RunInferenceBaseTest::test_model_handler_manager_evicts_models": _MODEL_MANAGER,
        "RunInferenceBaseTest::test_model_handler_manager_evicts_models_after_being_incremented": _MODEL_MANAGER,
        "RunInferenceBaseTest::test_model_handler_manager_evicts_models_after_update": _MODEL_MANAGER,
        "RunInferenceBaseTest::test_model_handler_manager_loads_shared_model": _MODEL_MANAGER,
        "RunInferenceBaseTest::test_model_status_provides_valid_garbage_collection": _MODEL_STATUS,
        "RunInferenceBaseTest::test_model_status_provides_valid_tags": _MODEL_STATUS,
        "RunInferenceBaseTest::test_run_inference_impl_keyed_mps_incrementing_multi_copy": _WHICH_COPY,
        "RunInferenceBaseTest::test_run_inference_impl_mps_nobatch_incrementing_multi_copy": _WHICH_COPY,
        "RunInferenceBaseTest::test_run_inference_impl_multi_process_shared_incrementing_multi_copy": _WHICH_COPY,
        "RunInferenceBaseTest::test_run_inference_impl_with_keyed_examples_many_mhs_max_models_hint": _HOW_OFTEN,
        "RunInferenceBaseTest::test_run_inference_unkeyed_examples_with_keyed_model_handler": _ROW_TEXT,
        "RunInferenceBaseTest::test_run_inference_watch_file_pattern_keyword_arg_side_input_label": (
            "looks for a step inside of the transform; each worker watches, so that there is no side input"
        ),
        "RunInferenceBaseTest::test_run_inference_with_side_inputin_streaming": (
            "is skipped by Beam itself: it needs a runner of its own"
        ),
        "RunInferenceBaseTest::test_timing_metrics": "time comes from the clock of the test, a hook of Beam's own",
        "RunInferenceRemoteTest::test_exception_on_load_model_override": _REMOTE,
        "RunInferenceRemoteTest::test_exception_on_run_inference_override": _REMOTE,
        "RunInferenceRemoteTest::test_run_inference_with_rate_limiter_exceeded": _REMOTE,
        "ModelHandlerBatchingArgsTest::test_env_vars_from_kwargs": "the attribute _env_vars is private",
        "ModelManagerTest::test_run_inference_impl_with_model_manager_args": "there is no model manager",
    },
    "pytorch_inference_test": {
        "PytorchRunInferenceTest::test_inference_runner_inference_args": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_custom": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_helper": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_keyed": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_keyed_dict_output": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_keyed_helper": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_multiple_tensor_features": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_multiple_tensor_features_dict_output": _ATTRIBUTES,
        "PytorchRunInferenceTest::test_run_inference_single_tensor_feature": _ATTRIBUTES,
        "PytorchRunInferencePipelineTest::test_gpu_auto_convert_to_cpu": (
            "reads the private attribute _device; a GPU that is asked for and absent is an error here"
        ),
        "PytorchRunInferencePipelineTest::test_pipeline_gcs_model": _SKIPPED_BY_BEAM,
        "PytorchRunInferencePipelineTest::test_pipeline_gcs_model_control_batching": _SKIPPED_BY_BEAM,
        "PytorchRunInferencePipelineTest::test_specify_torch_script_path_and_state_dict_path": _TEXT,
        "PytorchRunInferencePipelineTest::test_torch_model_class_none": _TEXT,
        "PytorchRunInferencePipelineTest::test_torch_model_state_dict_none": _TEXT,
        "PytorchInferenceTestWithMocks::test_load_model_args_keyed_tensor": _LOAD,
        "PytorchInferenceTestWithMocks::test_load_model_args_tensor": _LOAD,
    },
    "sklearn_inference_test": {"SkLearnRunInferenceTest::test_bad_input_type_raises": _TEXT},
    "onnx_inference_test": {
        WHOLE_MODULE: "skips itself in every environment (Beam's issue 31254); nothing in it can be imported",
    },
}

_REAL_BYTES = "bytes of arrays and texts; Beam counts headers of Python objects, or pickles"
_NO_EFFECT = "an option that would have no effect is refused where the handler is made"

DIFFERENT: dict[str, dict[str, str]] = {
    "base_test": {
        "RunInferenceBaseTest::test_keyed_many_model_handlers_validation": (
            "handlers of single keys may have pre- and postprocessing, which Beam refuses"
        ),
        "RunInferenceBaseTest::test_keyed_model_handler_get_num_bytes": _REAL_BYTES,
        "RunInferenceBaseTest::test_keyed_model_handler_multiple_models_get_num_bytes": _REAL_BYTES,
        "RunInferenceBaseTest::test_run_inference_impl_with_keyed_examples_many_model_handlers_metrics": (
            "metrics of single keys are called <key>-<metric>, as Beam documents them; its code says <key>-_<metric>"
        ),
        "RunInferenceBaseTest::test_run_inference_side_input_in_batch_per_key_models": (
            "a new version is tried on some elements before it takes over; the model of this test counts its calls"
        ),
        "RunInferenceBaseTest::test_run_inference_timeout_does_garbage_collection": (
            "the process of a model that hangs is killed, so that nobody deletes the model in it"
        ),
        "ModelHandlerBatchingArgsTest::test_batch_bucket_boundaries_without_batch_length_fn": _NO_EFFECT,
    },
    "sklearn_inference_test": {
        "SkLearnRunInferenceTest::test_custom_inference_fn": (
            "one prediction for three examples is an error; Beam drops two examples"
        ),
        "SkLearnRunInferenceTest::test_num_bytes_numpy": _REAL_BYTES,
    },
    "pytorch_inference_test": {
        "PytorchRunInferencePipelineTest::test_invalid_input_type": "arrays are taken where Beam wants tensors",
    },
}
