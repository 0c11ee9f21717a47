"""MuJoCo tools that know no suite: rendering, compiled scenes, textures, model backup."""
