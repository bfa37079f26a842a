"""What is said of a face, in one vocabulary where the clouds mean the same. What only one says keeps its name, in snake case.

    pose        roll, pitch, yaw in degrees (Google: roll, tilt, pan; both turn the same way on the same face)
    emotions    a confidence in [0, 1] each: happy, sad, angry, surprised, and Rekognition's calm, confused, disgusted, fear
    landmarks   [x, y] as fractions of the upright picture; left and right as one looks at the picture

Sources: https://docs.aws.amazon.com/rekognition/latest/APIReference/API_FaceDetail.html,
https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1#faceannotation
"""

EMOTIONS = {
    "HAPPY": "happy",
    "SAD": "sad",
    "ANGRY": "angry",
    "SURPRISED": "surprised",
    "joy": "happy",
    "sorrow": "sad",
    "anger": "angry",
    "surprise": "surprised",
}

LANDMARKS = {
    # Rekognition
    "eyeLeft": "left_eye",
    "eyeRight": "right_eye",
    "nose": "nose_tip",
    "mouthUp": "upper_lip",
    "mouthDown": "lower_lip",
    "leftEyeBrowLeft": "left_of_left_eyebrow",
    "leftEyeBrowRight": "right_of_left_eyebrow",
    "leftEyeBrowUp": "left_eyebrow_upper_midpoint",
    "rightEyeBrowLeft": "left_of_right_eyebrow",
    "rightEyeBrowRight": "right_of_right_eyebrow",
    "rightEyeBrowUp": "right_eyebrow_upper_midpoint",
    "leftEyeLeft": "left_eye_left_corner",
    "leftEyeRight": "left_eye_right_corner",
    "leftEyeUp": "left_eye_top_boundary",
    "leftEyeDown": "left_eye_bottom_boundary",
    "rightEyeLeft": "right_eye_left_corner",
    "rightEyeRight": "right_eye_right_corner",
    "rightEyeUp": "right_eye_top_boundary",
    "rightEyeDown": "right_eye_bottom_boundary",
    "noseLeft": "nose_bottom_left",
    "noseRight": "nose_bottom_right",
    "chinBottom": "chin_gnathion",
}
"""Names in Google's words, which say more. Google's own are these in upper case."""
