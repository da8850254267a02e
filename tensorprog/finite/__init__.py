"""The sampler: networks of finite width, drawn, run and differentiated with numpy. It knows nothing of limits."""
