"""simeval: how robust is a Vision-Language-Action policy, and could offline action drift have told you?"""
