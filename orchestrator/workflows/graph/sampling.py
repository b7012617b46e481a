"""Nodes that denoise, and that change how a model does it."""

from __future__ import annotations

from orchestrator.workflows.graph.sockets import Conditioning, Latent, Model, Nodes


class SamplingNodes(Nodes):
    """Samplers and schedulers by the names the server lists."""

    def ksampler(
        self,
        *,
        model: Model,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float,
    ) -> Latent:
        """Denoise; `denoise` 1.0 starts from noise alone."""
        node = self._add(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latent_image,
        )
        return Latent(node, 0)

    def ksampler_advanced(
        self,
        *,
        model: Model,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        add_noise: bool,
        noise_seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: bool,
    ) -> Latent:
        """Denoise for some of the steps: the noise that is left over is for another sampler."""
        node = self._add(
            "KSamplerAdvanced",
            add_noise="enable" if add_noise else "disable",
            noise_seed=noise_seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            start_at_step=start_at_step,
            end_at_step=end_at_step,
            return_with_leftover_noise="enable" if return_with_leftover_noise else "disable",
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latent_image,
        )
        return Latent(node, 0)

    def video_linear_cfg_guidance(self, *, model: Model, min_cfg: float) -> Model:
        """A cfg that grows from `min_cfg` at the first frame to the sampler's at the last."""
        return Model(self._add("VideoLinearCFGGuidance", min_cfg=min_cfg, model=model), 0)
