"""A video, step by step: Stable Video Diffusion moves a picture that was given, or one painted from the prompt."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.backends import ImageParams, VideoParams
from orchestrator.workflows.graph import Graph, Image
from orchestrator.workflows.picture import Plan, fitted_image, paint
from orchestrator.workflows.samplers import sampler_and_scheduler

WEBP_QUALITY = 90


@dataclass(frozen=True)
class Film:
    """All that a video is made of: its first picture is a file on the server, or is painted."""

    params: VideoParams
    checkpoint: str
    first: str | Plan


def roll(graph: Graph, film: Film) -> Image:
    """Add what makes the frames."""
    params = film.params
    first = _first(graph, film)
    loaded = graph.image_only_checkpoint_loader(ckpt_name=film.checkpoint)
    motion = graph.svd_img2vid_conditioning(
        clip_vision=loaded.clip_vision,
        init_image=first,
        vae=loaded.vae,
        width=params.width,
        height=params.height,
        video_frames=params.frames,
        motion_bucket_id=params.motion,
        fps=params.fps,
        augmentation_level=params.augmentation,
    )
    sampler, scheduler = sampler_and_scheduler(params.sampler, params.scheduler)
    latent = graph.ksampler(
        model=graph.video_linear_cfg_guidance(model=loaded.model, min_cfg=params.min_cfg),
        positive=motion.positive,
        negative=motion.negative,
        latent_image=motion.latent,
        seed=params.seed or 0,
        steps=params.steps,
        cfg=params.cfg,
        sampler_name=sampler,
        scheduler=scheduler,
        denoise=params.denoise,
    )
    return graph.vae_decode(samples=latent, vae=loaded.vae)


def save(graph: Graph, frames: Image, params: VideoParams, *, filename_prefix: str) -> None:
    """Write the frames as one file."""
    if params.output_format == "mp4":
        video = graph.create_video(images=frames, fps=float(params.fps))
        graph.save_video(video=video, filename_prefix=filename_prefix, format="mp4", codec="h264")
        return
    graph.save_animated_webp(
        images=frames,
        filename_prefix=filename_prefix,
        fps=float(params.fps),
        lossless=False,
        quality=WEBP_QUALITY,
        method="default",
    )


def _first(graph: Graph, film: Film) -> Image:
    if isinstance(film.first, Plan):
        return paint(graph, film.first)
    size = {"width": film.params.width, "height": film.params.height}
    return fitted_image(graph, film.first, **size)


def still(params: VideoParams, like: ImageParams) -> ImageParams:
    """What paints the first picture: as its backend would by itself, in the video's size and with its seed."""
    return like.model_copy(
        update={
            "width": params.width,
            "height": params.height,
            "seed": params.seed,
            "checkpoint": params.still_checkpoint,
        }
    )
